"""Training curves of GRPO: from the JSON lines of verl's file logger to one list a value,
and means at its phases.

A run writes `DIR/<model>/<any name>.jsonl`, a line {"step": int, "data": {metric: value}} a
step; each resume opens a new file, whose name sorts after the older ones. Training resumes
from a checkpoint, so what older files hold from the first step of a newer one on was thrown
away with the killed process, and is left out. Lines without any of the metrics below (a
validation) are no steps.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.naming.model_names import ordered_models
from reward_fns.errors import UserError

CURVES = {
    "ece": "confidence/ece",
    "at_0_or_1": "confidence/at_0_or_1",
    "brier": "confidence/brier",
    "accuracy": "expert/acc",
    "confidence_mean": "confidence/mean",
    "reward": "reward/total/mean",
    "well_formed": "response/well_formed",
    # counts groups; verl leaves it out when it is 0
    "evicted_groups": "training/filter_groups/evicted_samples",
    "probs_correlation": "training/rollout_actor_probs_pearson_corr",
}
"""Name in the report -> metric of the log."""

Curves = dict[str, list[Any]]
"""`steps`, and for each name in `CURVES` a value a step, None where the step lacks it (0
for `evicted_groups`).
"""


def read_training(directory: Path) -> dict[str, Curves]:
    """Curves of each model with a folder of logs, in the order of `ordered_models`; {} if
    the directory is missing.

    Raises:
        UserError: a line other than a torn last one is no line of verl's file logger.
    """
    if not directory.is_dir():
        return {}
    logs = {
        folder.name: sorted(folder.glob("*.jsonl"))
        for folder in directory.iterdir()
        if folder.is_dir()
    }
    training = {
        name: _curves(_merged([_read_log(file) for file in logs[name]]))
        for name in ordered_models(list(logs))
    }
    return {name: curves for name, curves in training.items() if curves["steps"]}


def phases(values: Sequence[float | None]) -> tuple[float, float, float]:
    """Means over the first, middle and last tenth of the steps (`steps_a_phase` each), NaN
    where there is no value.
    """
    n, size = len(values), steps_a_phase(len(values))
    starts = (0, (n - size) // 2, n - size)
    first, middle, last = (_mean(values[start : start + size]) for start in starts)
    return first, middle, last


def steps_a_phase(n_steps: int) -> int:
    """Number of steps in a tenth, at least 1."""
    return max(1, round(n_steps / 10))


def trailing_mean(values: Sequence[float | None], width: int) -> list[float]:
    """Mean of each value and the width - 1 before it, as far as they are there;
    NaN where there is none.
    """
    return [_mean(values[max(0, end - width) : end]) for end in range(1, len(values) + 1)]


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else math.nan


def _read_log(file: Path) -> dict[int, Mapping[str, Any]]:
    """Step -> metrics of one log, for the lines that hold a training step."""
    lines = file.read_bytes().split(b"\n")
    steps: dict[int, Mapping[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            step, data = int(content["step"]), dict(content["data"])
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):  # a kill in the middle of a write: no newline ends it
                break
            raise UserError(
                f"{file} line {number} is no line of verl's file logger: remove it or the file"
            ) from error
        if any(metric in data for metric in CURVES.values()):
            steps[step] = data
    return steps


def _merged(logs: Sequence[Mapping[int, Mapping[str, Any]]]) -> dict[int, Mapping[str, Any]]:
    """Steps of all logs, the oldest log first: a newer one takes the place of all that
    follows its first step.
    """
    merged: dict[int, Mapping[str, Any]] = {}
    for log in filter(None, logs):
        resumed_at = min(log)
        merged = {step: data for step, data in merged.items() if step < resumed_at} | dict(log)
    return merged


def _curves(steps: Mapping[int, Mapping[str, Any]]) -> Curves:
    ordered = sorted(steps)
    curves: Curves = {"steps": ordered}
    for name, metric in CURVES.items():
        absent = 0 if name == "evicted_groups" else None
        curves[name] = [_number(steps[step].get(metric, absent)) for step in ordered]
    return curves


def _number(value: Any) -> float | None:
    """The value if it is a finite number."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None
