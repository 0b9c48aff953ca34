"""A table as data; `render` writes it as CSV, Markdown and LaTeX, the HTML report shows the same.

A cell is text, a number, a value with its interval, or None where there is nothing (no answers,
undefined). Numbers stay unrounded in the CSV, where an interval takes three columns (`x`, `x low`,
`x high`), and are rounded elsewhere. The notes state estimator, bins and parse-failure policy, so
that no table travels without them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eval.numbers.values import Interval, SliceValues

FEWEST_ANSWERS = 10
"""Cells of fewer readable answers stay empty."""

Cell = str | int | float | Interval | None


@dataclass(frozen=True)
class Column:
    """A column; columns side by side with one `group` share a heading."""

    name: str
    group: str = ""
    digits: int = 3
    percent: bool = False  # the value is a share
    better: str = ""  # "low" | "high": which way is good, shown as an arrow
    signed: bool = False  # a difference: positive values carry a plus

    @property
    def heading(self) -> str:
        """Name with its arrow."""
        return self.name + {"low": " ↓", "high": " ↑"}.get(self.better, "")


@dataclass(frozen=True)
class Table:
    """A table; `name` is the stem of its files. Every row has a cell for each column."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.name}: a row of {len(row)} cells under "
                    f"{len(self.columns)} columns"
                )

    def shown(self) -> list[list[str]]:
        """The rows as a reader sees them."""
        return [list(map(show, row, self.columns)) for row in self.rows]


def interval(cell: SliceValues | None, metric: str) -> Interval | None:
    """A metric with its interval; None if there is no such cell or the metric is undefined."""
    if cell is None:
        return None
    value, low, high, _ = cell.measured(metric)
    return defined(value, low, high)


def defined(value: float, low: float, high: float) -> Interval | None:
    """The three of them, None for a value that is NaN."""
    return None if math.isnan(value) else Interval(value, low, high)


def tabulated(cell: SliceValues | None, metric: str) -> Interval | None:
    """`interval`; None for fewer than `FEWEST_ANSWERS` readable answers: an AUROC
    of 1.000 says nothing.
    """
    if cell is None or cell.readable < FEWEST_ANSWERS:
        return None
    return interval(cell, metric)


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where it is undefined."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def known(value: float | None) -> float | None:
    """The value, None if it is NaN."""
    return None if value is None or math.isnan(value) else value


def show(cell: Cell, column: Column) -> str:
    """The cell as a reader sees it."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Interval):
        ends = (
            ""
            if math.isnan(cell.low)
            else f" [{_number(cell.low, column)}, {_number(cell.high, column)}]"
        )
        return _number(cell.value, column) + ends
    return f"{cell:,}" if isinstance(cell, int) else _number(cell, column)


def _number(value: float, column: Column) -> str:
    if math.isnan(value):
        return "–"
    if column.percent:
        return f"{100 * value:.{column.digits}f} %"
    # A zero has no sign, and the minus is the one that is as wide as a plus.
    text = f"{value + 0.0:{'+' if column.signed else ''}.{column.digits}f}"
    return f"{0.0:.{column.digits}f}" if float(text) == 0 else text.replace("-", "−")


def columns_are_text(table: Table) -> list[bool]:
    """Whether each column holds text only: those are set left, the others right."""
    kinds = [{type(row[i]) for row in table.rows} - {type(None)} for i in range(len(table.columns))]
    return [kind == {str} for kind in kinds]


def column_groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Runs of columns with one group, (group, number of columns), in order."""
    runs: list[tuple[str, int]] = []
    for column in columns:
        if runs and runs[-1][0] == column.group:
            runs[-1] = (column.group, runs[-1][1] + 1)
        else:
            runs.append((column.group, 1))
    return runs
