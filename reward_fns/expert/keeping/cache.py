"""Nothing is asked twice: identical requests in flight are one call, and verdicts are kept on disk.

Verdicts are kept in a `diskcache.Cache` (SQLite) by `entries.verdict_key`. The directory may be shared by all processes
of a node and survives a kill: while one process asks, it holds a lease on the key, which the others wait for; it renews
the lease as long as it lives, so that what it was asking when it was killed is asked again soon after. Failures are not
kept. Nothing is ever evicted: it has been paid for. So many requests at once as `concurrency` says hold a lease and are
asked; the others wait without either. Put the directory on a local disk: SQLite's locks do not hold on
every network file system.
"""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from reward_fns.expert.errors import ExpertError
from reward_fns.expert.keeping.entries import (
    LEASE_PREFIX,
    content_key,
    from_entry,
    open_directory,
    to_entry,
    verdict_key,
)
from reward_fns.expert.protocol import EarlierVersions, VersionedExpert
from reward_fns.expert.requests import Request, Usage, V
from reward_fns.expert.stats import stats_of

if TYPE_CHECKING:
    from diskcache import Cache

FIRST_POLL, LONGEST_POLL = 0.02, 0.5
"""Seconds between two looks for what another process is asking; they grow from the first to the second."""


class CachedExpert:
    """Asks `expert` what is neither kept nor being asked.

    Args:
        expert: who judges; its name is part of the key.
        directory: the cache, made if it is not there; None shares requests in flight within this process only.
        lease: seconds after which another process may ask again what a process was asking when it died.
        concurrency: requests that this process asks at once, retries and the waits between them included.

    Raises:
        ValueError: lease or concurrency not above 0.
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
        self.name = expert.name
        self.expert = expert
        self.stats = stats_of(expert)
        self._lease = lease
        self._cache = None if directory is None else open_directory(directory)
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
            ExpertError: the expert failed, for everyone in this process who waits for the same answer.
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
        key = verdict_key(content, self.name, self.expert.prompt_version(request))
        kept = self._kept(key, request) or self._kept_before(content, request)
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
        """Ask, unless another process is asking: then wait for its answer, or for its lease to end."""
        poll = FIRST_POLL
        while True:
            async with self._slot():
                if self._cache is None:
                    return await self.expert.ask(request)
                # Before the lease too: what was kept while this request waited needs none.
                if (kept := self._kept(key, request)) is not None:
                    return kept
                if await asyncio.to_thread(
                    self._cache.add, LEASE_PREFIX + key, time.time(), expire=self._lease
                ):
                    return await self._ask_and_keep(request, key, content, self._cache)
            await asyncio.sleep(poll)
            poll = min(poll * 1.5, LONGEST_POLL)

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop not in self._slots:
            self._slots[loop] = asyncio.Semaphore(self._concurrency)
        return self._slots[loop]

    async def _ask_and_keep(self, request: Request[V], key: str, content: str, cache: "Cache") -> V:
        """The verdict, kept before the lease ends."""
        lease = LEASE_PREFIX + key
        try:
            # Kept by another process between our look and our lease.
            if (kept := self._kept(key, request)) is not None:
                return kept
            verdict = await self._asked_under(lease, request, cache)
            entry = to_entry(request, verdict, key, content, self.name)
            await asyncio.to_thread(cache.set, key, json.dumps(entry, ensure_ascii=True))
            return verdict
        finally:
            # Not in a thread: it has to happen also while the event loop closes.
            cache.delete(lease)

    async def _asked_under(self, lease: str, request: Request[V], cache: "Cache") -> V:
        """The expert's verdict; the lease is renewed until it is there."""
        asking = asyncio.ensure_future(self.expert.ask(request))
        try:
            while not (await asyncio.wait([asking], timeout=self._lease / 3))[0]:
                await asyncio.to_thread(cache.touch, lease, expire=self._lease)
        finally:
            asking.cancel()
        return asking.result()

    def _kept(self, key: str, request: Request[V]) -> V | None:
        text: Any = None if self._cache is None else self._cache.get(key)
        return None if text is None else cast(V, from_entry(json.loads(text)))

    def _kept_before(self, content: str, request: Request[V]) -> V | None:
        """A verdict by earlier instructions that still holds; it names their version."""
        if self._cache is None or not isinstance(self.expert, EarlierVersions):
            return None
        versions = self.expert.earlier_versions(request)
        kept = (self._kept(verdict_key(content, self.name, v), request) for v in versions)
        return next((verdict for verdict in kept if verdict is not None), None)
