"""Several reports of the same models, one a seed: mean and range of each value over all questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.naming.model_names import model_title, ordered_models, ordered_protocols, protocol_title
from eval.numbers.summarise import POOLED
from eval.tables.table import Cell, Column, Table
from reward_fns.errors import UserError
from reward_fns.files import read_mapping

_VALUES = {
    "ece": "ECE",
    "auroc": "AUROC",
    "brier": "Brier",
    "accuracy": "accuracy",
    "extreme_share": "at 0 or 1",
}


def read_reports(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Contents of report.json files.

    Raises:
        UserError: a file is no report, or two were made with different estimators.
    """
    contents = [read_mapping(path) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        if not {"models", "ece_ratios"} <= content.keys():
            raise UserError(f"{path} is no report: make it with `python -m eval report`")
    for path, content in zip(paths, contents, strict=True):
        if content.get("estimator") != contents[0].get("estimator"):
            raise UserError(
                f"{path} has other estimators than {paths[0]}: make both with this version's `report`"
            )
    return contents


def seed_table(reports: Sequence[Mapping[str, Any]]) -> Table:
    """Mean over the reports of each pooled value, with its lowest and highest; one row a protocol and model.

    A model that some reports lack is averaged over the others; the column `runs` says over how many.
    """
    present: set[tuple[str, str]] = set()
    for report in reports:
        for model, protocols in report["models"].items():
            present.update((protocol, model) for protocol in protocols)
    rows: list[tuple[Cell, ...]] = []
    for protocol in ordered_protocols(protocol for protocol, _ in present):
        for model in ordered_models(model for p, model in present if p == protocol):
            cells = [
                r["models"][model][protocol][POOLED]
                for r in reports
                if protocol in r["models"].get(model, {})
            ]
            ratios = [
                r["ece_ratios"].get(protocol, {}).get(model, {}).get("pooled") for r in reports
            ]
            rows.append(
                (
                    protocol_title(protocol),
                    model_title(model),
                    _mean_and_range(ratios),
                    *(_mean_and_range([cell[name] for cell in cells]) for name in _VALUES),
                    sum(cell["parse_failures"] for cell in cells),
                    len(cells),
                )
            )
    columns = [
        Column(name)
        for name in ("protocol", "model", "ECE / base", *_VALUES.values(), "parse failures", "runs")
    ]
    title = f"Over {_runs(reports)}, all questions: mean [lowest, highest]"
    return Table("seeds", title, tuple(columns), tuple(rows))


def _runs(reports: Sequence[Mapping[str, Any]]) -> str:
    """How many there are and with which seeds.

    >>> _runs([{"seed": 0}, {"seed": None}]), _runs([{}])
    ('2 runs (seeds 0, unknown)', '1 run (seed unknown)')
    """
    s = "" if len(reports) == 1 else "s"
    seeds = [report.get("seed") for report in reports]
    named = ["unknown" if seed is None else str(seed) for seed in seeds]
    told = "unknown" if set(named) == {"unknown"} else ", ".join(named)
    return f"{len(reports)} run{s} (seed{s} {told})"


def _mean_and_range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f} [{min(known):.3f}, {max(known):.3f}]" if known else "–"
