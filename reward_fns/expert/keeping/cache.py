"""Nothing is asked twice: identical requests in flight are one call, and verdicts are kept on disk.

Verdicts are kept in a `store.Store` (SQLite) by `entries.verdict_key`. The directory may be shared
by all processes of a node and survives a kill: while one process asks, it holds a lease on the key
(`leases`), which the others wait for; it renews the lease as long as it lives, so that what it was
asking when it was killed is asked again soon after. Failures are not kept. Nothing is ever evicted:
it has been paid for. So many requests at once as `concurrency` says hold a lease and are asked; the
others wait without either. Put the directory on a local disk: SQLite's locks do not hold on every
network file system.

Verdicts from before servers and parameters were part of the key (`identity`) say not who gave them.
The first judge of that name who asks the same takes them as its own, with a warning; for any other
server or parameters they are no verdicts then.
"""

import asyncio
import json
import logging
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from reward_fns.expert.errors import ExpertError
from reward_fns.expert.keeping.entries import (
    JUDGE_PREFIX,
    UNREADABLE,
    content_key,
    from_entry,
    judges_of,
    read_entry,
    to_entry,
    told,
    verdict_key,
    with_judge,
)
from reward_fns.expert.keeping.leases import LONGEST_LEASE, Lease
from reward_fns.expert.keeping.store import Store
from reward_fns.expert.protocol import EarlierVersions, VersionedExpert, identity_of
from reward_fns.expert.requests import Request, Usage, V
from reward_fns.expert.stats import stats_of

logger = logging.getLogger(__name__)

FIRST_POLL, LONGEST_POLL = 0.02, 0.5
"""Seconds between two looks for what another process is asking; they grow from
the first to the second.
"""


class CachedExpert:
    """Asks `expert` what is neither kept nor being asked.

    Args:
        expert: who judges; its name is part of the key.
        directory: the cache, made if it is not there; None shares requests in flight
            within this process only.
        lease: seconds after which another process may ask again what a process
            was asking when it died.
        concurrency: requests that this process asks at once, retries and the
            waits between them included.

    Raises:
        ValueError: lease or concurrency not above 0, or a lease above `LONGEST_LEASE`.
        UserError: what stands in the directory is no store of verdicts.
    """

    def __init__(
        self,
        expert: VersionedExpert,
        directory: str | Path | None = None,
        lease: float = 30.0,
        concurrency: int = 64,
    ) -> None:
        for name, value in (("lease", lease), ("concurrency", concurrency)):
            if not value > 0:
                raise ValueError(f"the expert's {name} must be above 0, got {value}")
        if lease > LONGEST_LEASE:
            raise ValueError(f"the expert's lease is {LONGEST_LEASE:g} s at most, got {lease}")
        self.name = expert.name
        self.expert = expert
        self.stats = stats_of(expert)
        self._lease = lease
        self.identity = identity_of(expert)
        self._cache = None if directory is None else Store(directory)
        self._claimed = False
        self._introduce()
        self._concurrency = concurrency
        # A semaphore belongs to the event loop that waits on it.
        self._slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )
        self._in_flight: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[Any]] = {}

    def prompt_version(self, request: Request[Any]) -> str:
        """Digest of the instructions that the request uses."""
        return self.expert.prompt_version(request)

    async def ask(self, request: Request[V]) -> V:
        """The kept verdict, that of an identical request in flight, or the expert's.

        Raises:
            ExpertError: the expert failed, for everyone in this process who
                waits for the same answer.
        """
        self.stats.asked += 1
        try:
            return await self._ask(request)
        except ExpertError as error:
            self.stats.failures[error.reason] += 1
            raise
        except asyncio.CancelledError:
            self.stats.failures["cancelled"] += 1
            raise

    async def _ask(self, request: Request[V]) -> V:
        content = content_key(request)
        key = self._key(content, self.expert.prompt_version(request))
        kept = self._kept(key) or self._kept_before(content, request)
        if kept is not None:
            self.stats.cache_hits += 1
            return kept
        flight = (asyncio.get_running_loop(), key)
        shared = flight in self._in_flight
        if not shared:
            task = asyncio.ensure_future(self._lead(request, key, content))
            self._in_flight[flight] = task
            task.add_done_callback(lambda _: self._in_flight.pop(flight))
        # Shielded: one caller that gives up does not take the answer from the others.
        verdict: V = await asyncio.shield(self._in_flight[flight])
        if shared:
            self.stats.shared += 1
            source = replace(verdict.source, usage=Usage(), cached=True)
            return cast(V, replace(cast(Any, verdict), source=source))
        if verdict.source.cached:
            self.stats.cache_hits += 1
        else:
            self.stats.answered += 1
        return verdict

    async def _lead(self, request: Request[V], key: str, content: str) -> V:
        """Ask, unless another process is asking: then wait for its answer, or
        for its lease to end.
        """
        if self._cache is None:
            async with self._slot():
                return await self.expert.ask(request)
        poll = FIRST_POLL
        lease = Lease(self._cache, key, self._lease)
        while True:
            async with self._slot():
                # Before the lease too: what was kept while this request waited needs none.
                if (kept := self._kept(key)) is not None:
                    return cast(V, kept)
                if await asyncio.to_thread(lease.take):
                    return await self._ask_and_keep(request, key, content, lease)
            await asyncio.sleep(poll)
            poll = min(poll * 1.5, LONGEST_POLL)

    def _introduce(self) -> None:
        """Enter this judge into the store's list, and say so where others bear its name."""
        if self._cache is None or self.identity is None:
            return
        own = dict(self.identity)
        old = self._cache.update(JUDGE_PREFIX + self.name, lambda text: with_judge(text, own))
        others = judges_of(old)
        if others and own not in others:
            logger.warning(
                "%s holds verdicts of %s given by %s; this one is %s, which is asked anew. If "
                "it is the same judge, name it by the same option `server`",
                *(self._cache.directory, self.name, " and ".join(map(told, others)), told(own)),
            )

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop not in self._slots:
            self._slots[loop] = asyncio.Semaphore(self._concurrency)
        return self._slots[loop]

    async def _ask_and_keep(self, request: Request[V], key: str, content: str, lease: Lease) -> V:
        """The verdict, kept before the lease ends."""
        assert self._cache is not None, "a lease is an entry of a store"
        try:
            # Kept by another process between our look and our lease.
            if (kept := self._kept(key)) is not None:
                return cast(V, kept)
            verdict = await self._asked_under(lease, request)
            entry = to_entry(request, verdict, key, content, self.name, self.identity)
            await asyncio.to_thread(self._cache.set, key, json.dumps(entry, ensure_ascii=True))
            return verdict
        finally:
            # Not in a thread: it has to happen also while the event loop closes.
            try:
                lease.release()
            except sqlite3.Error as error:
                # A full disk, which what failed before it has told; the lease ends by itself.
                logger.info(
                    "a lease in %s could not be given back: %s", self._cache.directory, error
                )

    async def _asked_under(self, lease: Lease, request: Request[V]) -> V:
        """The expert's verdict; the lease is renewed until it is there."""
        asking = asyncio.ensure_future(self.expert.ask(request))
        try:
            while not (await asyncio.wait([asking], timeout=self._lease / 3))[0]:
                await asyncio.to_thread(lease.renew)
        finally:
            asking.cancel()
        return asking.result()

    def _key(self, content: str, version: str) -> str:
        return verdict_key(content, self.name, version, self.identity)

    def _kept(self, key: str) -> Any:
        """The verdict under a key; None if there is none, or none that can be read."""
        if self._cache is None or (text := self._cache.get(key)) is None:
            return None
        try:
            return from_entry(read_entry(text))
        except UNREADABLE as error:
            logger.warning(
                "%s holds an entry that is no verdict (%s: %s): it is asked "
                "anew, and paid for again",
                *(self._cache.directory, type(error).__name__, error),
            )
            return None

    def _kept_before(self, content: str, request: Request[V]) -> Any:
        """A verdict by earlier instructions, or of an unnamed server, that still holds.

        It names the version that it was given by.
        """
        if self._cache is None:
            return None
        versions = [self.expert.prompt_version(request)]
        if isinstance(self.expert, EarlierVersions):
            versions += self.expert.earlier_versions(request)
        for version in versions:
            key = self._key(content, version)
            kept = self._kept(key) or self._claim(key, verdict_key(content, self.name, version))
            if kept is not None:
                return kept
        return None

    def _claim(self, key: str, unnamed: str) -> Any:
        """The verdict of a server that is not known, from now on that of this judge."""
        assert self._cache is not None, "only what is kept is claimed"
        if self.identity is None or self._kept(unnamed) is None:
            return None
        named = {"key": key, "identity": self.identity}
        # One step: two judges that ask at once must not both have it.
        text = self._cache.move(
            unnamed, key, lambda old: json.dumps(read_entry(old) | named, ensure_ascii=True)
        )
        if text is not None and not self._claimed:
            self._claimed = True
            logger.warning(
                "%s holds verdicts of %s from before servers and parameters were told apart: they "
                "are taken as given by %s",
                *(self._cache.directory, self.name, told(self.identity)),
            )
        return self._kept(key)
