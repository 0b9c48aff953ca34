"""Several reports of the same models, one a seed: mean and range of each
value over all questions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.naming.model_names import model_title, ordered_models, ordered_protocols, protocol_title
from eval.numbers.summarise import POOLED
from eval.numbers.values import EceRatios, SliceValues
from eval.tables.table import Cell, Column, Table
from reward_fns.errors import UserError
from reward_fns.files import read_mapping

_VALUES: dict[str, Callable[[SliceValues], float]] = {
    "ECE": lambda cell: cell.value("ece"),
    "AUROC": lambda cell: cell.value("auroc"),
    "Brier": lambda cell: cell.value("brier"),
    "accuracy": lambda cell: cell.accuracy,
    "at 0 or 1": lambda cell: cell.extreme_share,
}


@dataclass(frozen=True)
class Run:
    """What a table over seeds shows of one report.

    Attributes:
        seed: None if it is unknown.
        pooled: (protocol, model) -> values over all questions.
        ratios: (protocol, model) -> ECE divided by the base's; models without a base are not in it.
    """

    seed: int | None
    pooled: Mapping[tuple[str, str], SliceValues]
    ratios: Mapping[tuple[str, str], EceRatios]


def read_reports(paths: Sequence[Path]) -> list[Run]:
    """What stands in report.json files.

    Raises:
        UserError: a file is no report, or two were made with different estimators.
    """
    contents = [read_mapping(path) for path in paths]
    runs = [_run(path, content) for path, content in zip(paths, contents, strict=True)]
    for path, content in zip(paths, contents, strict=True):
        if content.get("estimator") != contents[0].get("estimator"):
            raise UserError(
                f"{path} has other estimators than {paths[0]}: make both with "
                "this version's `report`"
            )
    return runs


def _run(path: Path, content: Mapping[str, Any]) -> Run:
    pooled, ratios = {}, {}
    try:
        for model, protocols in content["models"].items():
            for protocol, cells in protocols.items():
                pooled[protocol, model] = SliceValues.from_json(cells[POOLED])
        for protocol, models in content["ece_ratios"].items():
            for model, written in models.items():
                ratios[protocol, model] = EceRatios.from_json(written)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no report: make it with `python -m eval report`") from error
    return Run(content.get("seed"), pooled, ratios)


def seed_table(runs: Sequence[Run]) -> Table:
    """Mean over the runs of each pooled value, with its lowest and highest; one
    row a protocol and model.

    A model that some runs lack is averaged over the others; the column `runs` says over how many.
    """
    present = {pair for run in runs for pair in run.pooled}
    rows: list[tuple[Cell, ...]] = []
    for protocol in ordered_protocols(protocol for protocol, _ in present):
        for model in ordered_models(model for p, model in present if p == protocol):
            rows.append(_row(protocol, model, runs))
    columns = [
        Column(name)
        for name in ("protocol", "model", "ECE / base", *_VALUES, "parse failures", "runs")
    ]
    title = f"Over {_told(runs)}, all questions: mean [lowest, highest]"
    return Table("seeds", title, tuple(columns), tuple(rows))


def _row(protocol: str, model: str, runs: Sequence[Run]) -> tuple[Cell, ...]:
    pair = (protocol, model)
    cells = [run.pooled[pair] for run in runs if pair in run.pooled]
    ratios = [run.ratios[pair].pooled for run in runs if pair in run.ratios]
    return (
        protocol_title(protocol),
        model_title(model),
        _mean_and_range(ratios),
        *(_mean_and_range([value_of(cell) for cell in cells]) for value_of in _VALUES.values()),
        sum(cell.parse_failures for cell in cells),
        len(cells),
    )


def _told(runs: Sequence[Run]) -> str:
    """How many there are and with which seeds.

    >>> _told([Run(0, {}, {}), Run(None, {}, {})]), _told([Run(None, {}, {})])
    ('2 runs (seeds 0, unknown)', '1 run (seed unknown)')
    """
    s = "" if len(runs) == 1 else "s"
    named = ["unknown" if run.seed is None else str(run.seed) for run in runs]
    told = "unknown" if set(named) == {"unknown"} else ", ".join(named)
    return f"{len(runs)} run{s} (seed{s} {told})"


def _mean_and_range(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    return f"{sum(known) / len(known):.3f} [{min(known):.3f}, {max(known):.3f}]" if known else "–"
