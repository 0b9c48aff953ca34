"""Rates and verdicts from the TensorBoard events that verl's two trainers write."""

import math
from dataclasses import dataclass
from pathlib import Path

CORRELATION = "training/rollout_actor_probs_pearson_corr"


@dataclass(frozen=True)
class Point:
    """A metric at a step; `at` is when it was written, in epoch seconds."""

    step: int
    at: float
    value: float


Curves = dict[str, list[Point]]


def read(folder: Path) -> Curves:
    """Metric -> its points by step; empty where nothing was written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not list(folder.glob("events.out.tfevents*")):
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        name: [Point(event.step, event.wall_time, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def steps(curves: Curves) -> int:
    """The last step that was reported; 0 without one."""
    return max((points[-1].step for points in curves.values() if points), default=0)


def sft_rate(curves: Curves) -> float | None:
    """Tokens a second of SFT, between the reports of the first and the last step."""
    tokens = curves.get("train/global_tokens", [])
    if len(tokens) < 2 or tokens[-1].at <= tokens[0].at:
        return None
    return sum(point.value for point in tokens[1:]) / (tokens[-1].at - tokens[0].at)


def step_rate(curves: Curves) -> float | None:
    """Tokens a second of whole GRPO steps (prompts and answers), the first step left out."""
    return _mean_after_first(curves.get("perf/throughput", []))


def sampling_rate(curves: Curves) -> float | None:
    """Answer tokens a second while rollouts are sampled, the first step left out."""
    names = ("perf/total_num_tokens", "prompt_length/mean", "response_length/mean", "timing_s/gen")
    series = [curves.get(name, []) for name in names]
    rates = []
    for total, prompt, answer, seconds in zip(*series, strict=False):
        answers = total.value / (prompt.value + answer.value)
        rates.append(Point(total.step, total.at, answers * answer.value / seconds.value))
    return _mean_after_first(rates)


def _mean_after_first(points: list[Point]) -> float | None:
    kept = points[1:] or points
    return sum(point.value for point in kept) / len(kept) if kept else None


def lowest(curves: Curves, name: str, from_step: int = 1) -> float | None:
    """The lowest value of a metric from a step on; None if there is none, NaN if one is NaN."""
    values = [point.value for point in curves.get(name, []) if point.step >= from_step]
    if any(math.isnan(value) for value in values):
        return math.nan
    return min(values, default=None)
