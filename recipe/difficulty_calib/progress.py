"""What a person sees of a training's output: one line a step (`stage` keeps all of it in a log)."""

import re
import time

#: What a line shows, in order: label, metric of verl's console logger, format.
_SHOWN = (
    ("reward", "reward/total/mean", "{:.3f}"),
    ("accuracy", "expert/acc", "{:.2f}"),
    ("confidence", "confidence/mean", "{:.2f}"),
    ("at 0 or 1", "confidence/at_0_or_1", "{:.2f}"),
    ("brier", "confidence/brier", "{:.3f}"),
    ("well-formed", "response/well_formed", "{:.2f}"),
    ("evicted", "training/filter_groups/evicted_samples", "{:.0f}"),
    ("rollout~actor", "training/rollout_actor_probs_pearson_corr", "{:.5f}"),
    ("loss", "train/loss", "{:.4f}"),
    ("s/step", "timing_s/step", "{:.1f}"),
)
_STEP = re.compile(r"\bstep:(\d+) - (.*)")
_TOTAL = re.compile(r"Total training steps: (\d+)")
_METRIC = re.compile(r"([\w/]+):(?:np\.\w+\()?(-?[\d.]+(?:e-?\d+)?|nan)")


def step_line(line: str) -> tuple[int, str] | None:
    """(step, what to show of it) if the line is verl's report of a training step."""
    match = _STEP.search(line)
    if match is None:
        return None
    metrics = {name: float(value) for name, value in _METRIC.findall(match[2])}
    shown = [
        f"{label} {form.format(metrics[name])}" for label, name, form in _SHOWN if name in metrics
    ]
    return (int(match[1]), "  ".join(shown)) if shown else None


class StepView:
    """What to show of a training's output: a line a step, with the time that is left."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._first: tuple[int, float] | None = None

    def line(self, line: str) -> str | None:
        """What to show for one line of output; None for nothing."""
        if found := _TOTAL.search(line):
            self._total = int(found[1])
        if (reported := step_line(line)) is None:
            return None
        step, shown = reported
        of_total = f"/{self._total}" if self._total else ""
        return f"  step {step}{of_total}  {shown}{self._time_left(step)}"

    def _time_left(self, step: int) -> str:
        now = time.monotonic()
        first_step, started = self._first = self._first or (step, now)
        if self._total is None or step <= first_step:
            return ""
        seconds = (self._total - step) * (now - started) / (step - first_step)
        return f"  {seconds / 60:.1f} min left"
