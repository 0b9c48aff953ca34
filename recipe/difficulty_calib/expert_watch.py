"""What the trainer sees of the expert: failures, what ends the run, and what was paid,
over all reward workers.

A reward worker is a process of its own, and verl loses what a reward raises. So each
reward carries a report, a JSON text under `REPORT_KEY` (verl averages numbers in
validation and leaves texts alone):

    {"worker": "3f2a...", "fatal": null, "totals": {"calls": 512, ...}}

`worker` names the expert's process, `totals` are its counts since it began
(`reward_fns.expert.stats`), `fatal` is why no later request can succeed. Totals of a worker only
grow, so the latest report of each tells all, also of rollouts that dynamic sampling threw away.
"""

import json
import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from reward_fns.expert import Expert, stats_of
from reward_fns.judging import JudgedResponse

REPORT_KEY = "expert_report"
_WORKER = secrets.token_hex(8)


class ExpertFailureError(RuntimeError):
    """The expert failed on too many rollouts to go on training, or cannot be asked any more."""


def report(expert: Expert, judged: JudgedResponse) -> str:
    """The report of this process with one rollout's reward."""
    fatal = judged.error if judged.fatal else None
    # A forked worker has its parent's _WORKER, but not its expert's counts.
    worker = f"{_WORKER}-{id(expert):x}"
    return json.dumps({"worker": worker, "fatal": fatal, "totals": stats_of(expert).totals()})


class ExpertWatch:
    """Adds up reports and counts failures.

    Args:
        tolerated: share of the window's rollouts that may be without verdict.
        window: number of last rollouts.
        at_least: rollouts that have to be seen before the share means anything: those of one step.
    """

    def __init__(self, tolerated: float, window: int, at_least: int) -> None:
        self._tolerated = tolerated
        self._at_least = min(at_least, window)
        self._failed: deque[bool] = deque(maxlen=window)
        self._latest: dict[str, dict[str, float]] = {}
        self._before: dict[str, float] = {}

    def see(self, rewards: Iterable[Mapping[str, Any]], training: bool) -> None:
        """Take in finished rollouts: what the reward returned for each (`reward_extra_info`).

        Args:
            training: whether they count in the window of failures; those of a validation do not.

        Raises:
            ExpertFailureError: the expert cannot be asked any more, or failed on too many.
        """
        for reward in rewards:
            if training:
                self._failed.append(bool(reward["expert_failed"]))
            if REPORT_KEY in reward:
                self._take_in(json.loads(reward[REPORT_KEY]))
        rate = sum(self._failed) / max(1, len(self._failed))
        if len(self._failed) >= self._at_least and rate > self._tolerated:
            raise ExpertFailureError(
                f"the expert gave no verdict for {rate:.1%} of the last {len(self._failed)} "
                "rollouts, more than "
                f"trainer.v1.difficulty_guided.max_expert_failure_rate={self._tolerated:.1%}; "
                "the log says why"
            )

    def _take_in(self, told: Mapping[str, Any]) -> None:
        if told["fatal"] is not None:
            raise ExpertFailureError(
                f"the run ends, since no later rollout can be scored either: {told['fatal']}"
            )
        known = self._latest.setdefault(told["worker"], {})
        for name, total in told["totals"].items():
            # Reports may arrive out of order.
            known[name] = max(total, known.get(name, 0.0))

    def totals(self) -> dict[str, float]:
        """Counts of all workers since the run began; empty for an expert that keeps
        none, such as the oracle.
        """
        summed: dict[str, float] = {}
        for totals in self._latest.values():
            for name, total in totals.items():
                summed[name] = summed.get(name, 0.0) + total
        return summed if summed.get("asked") else {}

    def counts_since_last(self) -> dict[str, float]:
        """Metric ``expert/<count>`` -> what was added since the last call of this method,
        for one step's curves.
        """
        now = self.totals()
        counts = {
            f"expert/{name}": total - self._before.get(name, 0.0) for name, total in now.items()
        }
        self._before = now
        return counts
