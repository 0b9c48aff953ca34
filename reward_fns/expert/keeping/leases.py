"""Leases: who is asking what, without trust in the wall clock.

A lease is an entry of the store, as JSON: who holds it, for how many seconds, and until when by the
clock of this boot (`CLOCK_MONOTONIC`, which all processes of a machine share and nobody can set).
It is over at that moment. Of a lease of another boot, or one that makes no sense, that cannot be
said: it is over once it has stood unchanged for its seconds while somebody watched. So a dead
process's lease never blocks for longer than that, however wrong any clock was.
"""

import json
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from reward_fns.expert.keeping.store import Store

LEASE_PREFIX = "asking "
LONGEST_LEASE = 600.0
"""Seconds; a lease is renewed as long as its process lives, so a longer one would serve nobody."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot() -> str:
    """Names this boot of the machine, and so its monotonic clock; where it has
    no name, this process.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"process {uuid.uuid4().hex}"


class Lease:
    """The right to ask one question, for one who wants it.

    Args:
        key: of the verdict.
        seconds: after which another may take it from a holder that does not renew it.
    """

    def __init__(self, store: Store, key: str, seconds: float) -> None:
        self._store = store
        self._key = LEASE_PREFIX + key
        self._seconds = seconds
        self._holder = uuid.uuid4().hex
        self._watched: tuple[str, float] = ("", 0.0)

    def take(self) -> bool:
        """Whether it is ours now: nobody held it, or who did is gone."""
        standing = self._store.get(self._key)
        # A look first: a transaction would wait for those of all others.
        if standing is not None and not self._is_over(standing):
            return False
        # Still as it was looked at, else another was faster.
        old = self._store.update(self._key, lambda now: self._text() if now == standing else now)
        return old == standing

    def renew(self) -> None:
        """Hold it for its seconds from now; nothing if another has taken it."""
        self._store.update(self._key, lambda now: self._text() if self._is_ours(now) else now)

    def release(self) -> None:
        """Give it back; nothing if another has taken it."""
        self._store.update(self._key, lambda now: None if self._is_ours(now) else now)

    def _text(self) -> str:
        until = time.monotonic() + self._seconds
        lease = {"holder": self._holder, "boot": boot(), "until": until, "seconds": self._seconds}
        return json.dumps(lease)

    def _is_ours(self, text: str | None) -> bool:
        return text is not None and _read(text).get("holder") == self._holder

    def _is_over(self, text: str) -> bool:
        now = time.monotonic()
        if text != self._watched[0]:
            self._watched = (text, now)
        lease = _read(text)
        seconds = _between(lease.get("seconds"), 0.0, LONGEST_LEASE)
        until = _between(lease.get("until"), float("-inf"), now + LONGEST_LEASE)
        if lease.get("boot") == boot() and until is not None:
            return now >= until
        return now - self._watched[1] >= (self._seconds if seconds is None else seconds)


def _read(text: str) -> dict[str, Any]:
    try:
        lease = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return lease if isinstance(lease, dict) else {}


def _between(value: object, lowest: float, highest: float) -> float | None:
    """The number if it is one of that range; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if lowest <= value <= highest else None
