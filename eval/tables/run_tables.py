"""Tables of the run itself: how confidence moved in training, and how long the stages took."""

from collections.abc import Mapping, Sequence

from eval.naming.model_names import model_title
from eval.numbers.training_curves import Curves, phases, steps_a_phase
from eval.tables.table import Cell, Column, Table, known

_TRAINING_NOTES = (
    (
        "Measured on the rollouts of each step: means over the first, the middle and the "
        "last tenth of the steps."
    ),
    "Not comparable with held-out values, nor quite with each other: dynamic sampling leaves "
    "out groups that tie on its metric, which each rule chooses; the ECE of one step is biased "
    "upwards, more so the fewer rollouts it has.",
)
_PHASES = ("first", "middle", "last")


def training_table(training: Mapping[str, Curves]) -> Table | None:
    """How ECE and the share of confidences at 0 or 1 moved during GRPO; None
    if nothing was logged.
    """
    if not training:
        return None
    rows = []
    for model, curves in training.items():
        n = len(curves["steps"])
        means = (known(value) for name in ("ece", "at_0_or_1") for value in phases(curves[name]))
        rows.append((model_title(model), f"3 x {steps_a_phase(n)} of {n}", *means))
    columns = (
        Column("model"),
        Column("steps"),
        *(Column(phase, group="ECE", better="low") for phase in _PHASES),
        *(
            Column(phase, group="confidences at 0 or 1", percent=True, digits=0)
            for phase in _PHASES
        ),
    )
    return Table(
        "training", "How confidence moved during GRPO", columns, tuple(rows), _TRAINING_NOTES
    )


def stage_table(seconds: Mapping[str, float]) -> Table | None:
    """Wall time of the run's stages; None if none is known."""
    rows: Sequence[tuple[Cell, ...]] = [(stage, value) for stage, value in seconds.items()]
    columns = (Column("stage"), Column("seconds", digits=0))
    return Table("stages", "Wall time", columns, tuple(rows)) if rows else None
