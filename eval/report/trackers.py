"""The report's numbers in wandb, TensorBoard or MLflow, each through its own package, which is
imported when asked for.

Every number of `models` in report.json becomes a series `NAME/PROTOCOL/DATASET/VALUE`
("rl/verbal/pooled/ece"). A checkpoint NAME@STEP is the point of NAME at that step, a model
without a step stands at step 0. Undefined values are left out. Where the runs go is up to
each package: WANDB_PROJECT and WANDB_MODE, MLFLOW_TRACKING_URI; the event file of TensorBoard
goes to `OUT/tensorboard`.
"""

import importlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.naming.model_names import checkpoint
from eval.numbers.values import Models, SliceValues
from eval.report.content import Report
from reward_fns.errors import UserError

Series = Mapping[int, Mapping[str, float]]
"""step -> name of the series -> value."""


def series(models: Models) -> dict[int, dict[str, float]]:
    """Numbers of the report by step and name.

    >>> found = series({"rl@20": {"verbal": {"pooled": SliceValues(n=4, accuracy=0.25)}}})
    >>> for name, value in found[20].items():
    ...     print(name, value)
    rl/verbal/pooled/accuracy 0.25
    rl/verbal/pooled/n 4.0
    rl/verbal/pooled/parse_failures 0.0
    """
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for model, protocols in models.items():
        name, step = checkpoint(model)
        for protocol, datasets in protocols.items():
            for dataset, cell in datasets.items():
                path = f"{name}/{protocol}/{dataset}"
                found[step or 0] |= {f"{path}/{key}": value for key, value in _numbers(cell)}
    return dict(found)


def _numbers(cell: SliceValues) -> Iterator[tuple[str, float]]:
    """Name and value of each number that is defined."""
    for key, value in cell.as_json().items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield key, float(value)


def track(report: Report, kinds: Sequence[str], out: Path) -> None:
    """Send a report's numbers to trackers.

    Args:
        kinds: names of `TRACKERS`.
        out: the report's directory; its name is the run's.

    Raises:
        UserError: a package is not installed, or refuses (no key, no network);
            the others got the numbers.
    """
    steps = series(report.models)
    settings = {"seed": report.made.seed, "command": report.made.command}
    failed = []
    for kind in dict.fromkeys(kinds):
        try:
            TRACKERS[kind](steps, settings, out)
        except UserError as error:
            failed.append(f"--track {kind}: {error}")
        except Exception as error:  # each package has errors of its own
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            failed.append(f"--track {kind}: {reason}{_REMEDIES.get(kind, '')}")
        else:
            print(f"{kind}: {sum(map(len, steps.values()))} numbers")
    if failed:
        raise UserError(f"the report is written to {out}; {'; '.join(failed)}")


_REMEDIES = {
    "wandb": " (set WANDB_API_KEY, or WANDB_MODE=offline)",
    "mlflow": " (set MLFLOW_TRACKING_URI)",
}


def _package(name: str, distribution: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{distribution} is not installed ({error}): pip install {distribution}"
        ) from error


def _wandb(steps: Series, settings: Mapping[str, Any], out: Path) -> None:
    wandb = _package("wandb", "wandb")
    with wandb.init(name=out.name, dir=out, config=dict(settings), job_type="evaluation") as run:
        for step in sorted(steps):
            run.log(dict(steps[step]), step=step)


def _tensorboard(steps: Series, settings: Mapping[str, Any], out: Path) -> None:
    _package("tensorboard", "tensorboard")
    with _package("torch.utils.tensorboard", "torch").SummaryWriter(
        str(out / "tensorboard")
    ) as writer:
        for name, value in settings.items():
            writer.add_text(name, str(value))
        for step in sorted(steps):
            for name, value in steps[step].items():
                writer.add_scalar(name, value, step)


def _mlflow(steps: Series, settings: Mapping[str, Any], out: Path) -> None:
    mlflow = _package("mlflow", "mlflow")
    with mlflow.start_run(run_name=out.name):
        mlflow.log_params(dict(settings))
        for step in sorted(steps):
            mlflow.log_metrics(dict(steps[step]), step=step)


TRACKERS: dict[str, Callable[[Series, Mapping[str, Any], Path], None]] = {
    "wandb": _wandb,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}
