"""Follow a training's log: keep all of it in a file, show a line a step.

python -m verl.trainer.main_ppo ... 2>&1 | python -m recipe.difficulty_calib.progress LOG
"""

import re
import sys
import time
from pathlib import Path

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


def follow(log: Path) -> None:
    """Copy stdin to `log`; print a line for each training step with the time that is left."""
    total: int | None = None
    first: tuple[int, float] | None = None
    with log.open("a", encoding="utf-8") as file:
        for line in sys.stdin:
            file.write(line)
            file.flush()
            if found := _TOTAL.search(line):
                total = int(found[1])
            if (reported := step_line(line)) is None:
                continue
            step, shown = reported
            now = time.monotonic()
            first = first or (step, now)
            left = ""
            if total is not None and step > first[0]:
                seconds = (total - step) * (now - first[1]) / (step - first[0])
                left = f"  {seconds / 60:.1f} min left"
            print(f"  step {step}{f'/{total}' if total else ''}  {shown}{left}", flush=True)


if __name__ == "__main__":
    follow(Path(sys.argv[1]))
