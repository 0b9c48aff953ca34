"""What `python -m eval hallucination` left, for the page: its tables, and its operating
curves as one line chart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.benchmarks.confidence_scores import finest_source
from eval.naming.model_names import model_title
from eval.report.html.payload import curve_line, line_chart
from eval.tables.stored import read_tables
from eval.tables.table import Table
from reward_fns.errors import UserError
from reward_fns.files import read_mapping

PREFIX = "hallucination_"
"""Of these tables' names on the page."""
_COLOURS = 5
_GRID = range(101)  # recall in percent


@dataclass(frozen=True)
class Hallucination:
    """Tables, and charts as report.js draws them."""

    tables: Sequence[Table] = ()
    charts: Sequence[Mapping[str, Any]] = ()


NONE = Hallucination()
"""Of a run that did not ask for it."""


def read_hallucination(directory: Path) -> Hallucination:
    """Of the `--out` of that command.

    Raises:
        UserError: a file is missing or torn.
    """
    tables = [
        replace(table, name=f"{PREFIX}{table.name}")
        for table in read_tables(directory / "tables.json")
    ]
    path = directory / "hallucination.json"
    try:
        return Hallucination(tables, _charts(read_mapping(path)["models"]))
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} is not of `python -m eval hallucination` ({type(error).__name__}: {error})"
        ) from error


def _charts(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hallucinated share of mentions over recall, a line a model with a confidence; [] without."""
    lines: list[dict[str, Any]] = []
    for model, found in models.items():
        source = finest_source(found["confidence"])
        if source is None:
            continue
        place = len(lines)
        values = _on_grid(found["confidence"][source]["curve"])
        lines.append(curve_line(model_title(model), place, values, dashed=place >= _COLOURS))
    if not lines:
        return []
    shown = lines[: 2 * _COLOURS]
    note = (
        "hallucinated share of mentions as the least confident claims are "
        "dropped, from right to left"
    )
    if len(shown) < len(lines):
        note += f"; the first {len(shown)} of {len(lines)} models"
    names = [str(recall) for recall in _GRID]
    return [line_chart("Operating curve", note, "recall of objects, %", names, shown, True)]


def _on_grid(curve: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """The rate at each percent of recall, interpolated; None outside of the curve."""
    points = sorted((p["recall"], p["rate"]) for p in curve if p["rate"] is not None)
    if not points:
        return [None for _ in _GRID]
    recall, rate = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    at = np.interp([r / 100 for r in _GRID], recall, rate)
    inside = [recall[0] <= r / 100 <= recall[-1] for r in _GRID]
    return [float(v) if keep else None for v, keep in zip(at, inside, strict=True)]
