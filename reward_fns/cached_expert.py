"""A cache on disk around an expert that costs money or time: the same question is paid for once.

Verdicts are kept in a `diskcache.Cache` (SQLite), keyed by all that the expert sees. The directory may be shared by all
reward workers of a node and survives a kill: identical requests that are in flight anywhere on the node are one call,
and a restarted run finds what an earlier one has paid for. Failures are not kept.

    python -m reward_fns.cached_expert DIRECTORY > verdicts.jsonl     # what it holds, a line each
"""

import asyncio
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from reward_fns.expert_protocol import Expert, ExpertError, ExpertRequest, ExpertVerdict

POLL_SECONDS = 0.05
_LEASE = "asking "


class VersionedExpert(Expert, Protocol):
    """An expert whose verdicts may be kept."""

    def prompt_version(self, task: str) -> str:
        """Identifies the instructions for a task: verdicts of another version are not reused."""
        ...


def request_key(request: ExpertRequest, name: str, prompt_version: str) -> str:
    """Hex digest of all that a verdict depends on: the request, image included, who judges, and by which prompt."""
    image = None if request.image is None else hashlib.sha256(request.image).hexdigest()
    asked = (request.question, request.task, request.claims, request.response, request.ground_truth, image)
    content = json.dumps([name, prompt_version, *asked], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()


class CachedExpert:
    """Asks `expert` what the directory does not hold yet.

    Args:
        expert: who judges; its name is part of the key.
        directory: the cache; made if it is not there.
        lease: seconds after which another process may ask again what one was asking when it died. Longer than a request
            may take with all its retries, or it is paid for twice.
        offline: never ask: what is not in the directory is an error. Replays a recorded cache.

    Raises:
        ValueError: lease not above 0, or offline without a recorded cache.
    """

    def __init__(
        self, expert: VersionedExpert, directory: str | Path, lease: float = 600.0, offline: bool = False
    ) -> None:
        from diskcache import Cache

        if not lease > 0:
            raise ValueError(f"cache lease must be above 0 seconds, got {lease}")
        if offline and not (Path(directory) / "cache.db").is_file():
            raise ValueError(f"no recorded cache in {directory}: run once online, or name the directory that has it")
        self.name = expert.name
        self._expert = expert
        self._lease = lease
        self._offline = offline
        # Nothing is ever evicted: it has been paid for.
        self._cache = Cache(str(directory), eviction_policy="none")
        self._in_flight: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[ExpertVerdict]] = {}

    async def judge(self, request: ExpertRequest) -> ExpertVerdict:
        """The kept verdict, or the expert's.

        Raises:
            ExpertError: the expert failed, for everyone in this process who waits for the same answer; or offline and
                not kept.
        """
        key = request_key(request, self.name, self._expert.prompt_version(request.task))
        if (kept := self._kept(key)) is not None:
            return kept
        if self._offline:
            raise ExpertError(f"the cache in {self._cache.directory} holds no verdict on {request.question[:80]!r}")
        flight = (asyncio.get_running_loop(), key)
        if flight not in self._in_flight:
            task = asyncio.ensure_future(self._ask(request, key))
            self._in_flight[flight] = task
            task.add_done_callback(lambda _: self._in_flight.pop(flight))
        # Shielded: one caller that gives up does not take the answer from the others.
        return await asyncio.shield(self._in_flight[flight])

    async def _ask(self, request: ExpertRequest, key: str) -> ExpertVerdict:
        """Ask, unless another process is asking: then wait for its answer, or for its lease to end."""
        lease = _LEASE + key
        while not await asyncio.to_thread(self._cache.add, lease, time.time(), expire=self._lease):
            await asyncio.sleep(POLL_SECONDS)
            if (kept := self._kept(key)) is not None:
                return kept
        try:
            # Kept by another process between our look and our lease.
            if (kept := self._kept(key)) is not None:
                return kept
            verdict = await self._expert.judge(request)
            await asyncio.to_thread(self._cache.set, key, self._entry(request, verdict))
            return verdict
        finally:
            await asyncio.to_thread(self._cache.delete, lease)

    def _entry(self, request: ExpertRequest, verdict: ExpertVerdict) -> str:
        entry = {
            "claim_labels": verdict.claim_labels,
            "overall": verdict.overall,
            "model": verdict.model,
            "prompt_version": self._expert.prompt_version(request.task),
            "question": request.question,
            "claims": request.claims,
            "time": time.time(),
        }
        return json.dumps(entry, ensure_ascii=False)

    def _kept(self, key: str) -> ExpertVerdict | None:
        entry: Any = self._cache.get(key)
        if entry is None:
            return None
        kept = json.loads(entry)
        return ExpertVerdict(tuple(kept["claim_labels"]), kept["overall"], kept["model"])


def main() -> int:
    """Print the kept verdicts, oldest first."""
    from diskcache import Cache

    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "cache.db").is_file():
        print("error: give the directory of a cache: python -m reward_fns.cached_expert DIRECTORY", file=sys.stderr)
        return 1
    with Cache(sys.argv[1]) as cache:
        for key in cache:
            if not key.startswith(_LEASE):
                print(cache[key])
    return 0


if __name__ == "__main__":
    sys.exit(main())
