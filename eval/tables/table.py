"""A table as data, and its three written forms: CSV, LaTeX (booktabs) and Markdown; the HTML report shows the same.

A cell is text, a number, a value with its interval, or None where there is nothing (no answers, undefined). Numbers
stay unrounded in the CSV, where an interval takes three columns (`x`, `x low`, `x high`), and are rounded elsewhere.
The notes state estimator, bins and parse-failure policy, so that no table travels without them.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from eval.report.values import SliceValues
from reward_fns.markup import literal


class Interval(NamedTuple):
    """A value with the ends of its 95 % interval; all three NaN where undefined."""

    value: float
    low: float
    high: float


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
                    f"table {self.name}: a row of {len(row)} cells under {len(self.columns)} columns"
                )


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
    """`interval`; None for fewer than `FEWEST_ANSWERS` readable answers: an AUROC of 1.000 says nothing."""
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


def to_csv(table: Table) -> str:
    """Unrounded values; notes as `#` lines above the header."""
    spread = [
        any(isinstance(row[i], Interval) for row in table.rows) for i in range(len(table.columns))
    ]
    header: list[str] = []
    for column, wide in zip(table.columns, spread, strict=True):
        name = _csv_cell(f"{column.group}: {column.name}" if column.group else column.name)
        header += [name, f"{name} low", f"{name} high"] if wide else [name]
    file = io.StringIO()
    file.writelines(f"# {_harmless(' '.join(n.split()))}\n" for n in (table.title, *table.notes))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        cells: list[str] = []
        for cell, wide in zip(row, spread, strict=True):
            parts = (
                list(cell)
                if isinstance(cell, Interval)
                else [cell, *([None, None] if wide else [])]
            )
            cells += [_csv_cell(part) for part in parts]
        writer.writerow(cells)
    return file.getvalue()


def _csv_cell(value: str | float | None) -> str:
    """A text that a spreadsheet would take for a formula gets the apostrophe that makes it a text there too."""
    if value is None or value != value:
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else str(value)


def _harmless(note: str) -> str:
    """A note is no quoted cell, so a spreadsheet splits it at commas."""
    return re.sub(r"([,;]\s*)([=+@-])", r"\1'\2", note)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a formula to a spreadsheet (OWASP, CSV injection)."""


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[bool]
) -> str:
    """A Markdown table padded to be read in a terminal; text columns left, the others right."""
    header, *rows = [
        [literal(cell).replace("|", "\\|").replace("\n", " ") for cell in line]
        for line in (header, *rows)
    ]
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def render(line: Sequence[str]) -> str:
        cells = zip(line, widths, text, strict=True)
        return f"| {' | '.join(cell.ljust(width) if left else cell.rjust(width) for cell, width, left in cells)} |"

    rule = "|".join(
        "-" * (w + 2) if left else "-" * (w + 1) + ":" for w, left in zip(widths, text, strict=True)
    )
    return "\n".join([render(header), f"|{rule}|", *map(render, rows)]) + "\n"


def to_markdown(table: Table) -> str:
    """The table with its notes below; a group stands before the name of each of its columns."""
    header = [
        f"{column.group}: {column.heading}" if column.group else column.heading
        for column in table.columns
    ]
    rows = [
        [show(cell, column) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    body = markdown_table(header, rows, columns_are_text(table))
    notes = "".join(f"- {literal(note)}\n" for note in table.notes)
    return body + (f"\n{notes}" if notes else "")


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
}


def latex_escape(text: str) -> str:
    """Text that LaTeX sets as it stands.

    >>> latex_escape("50 % of rl_proper")
    '50 \\\\% of rl\\\\_proper'
    """
    escaped = "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
    # At the head of a row the command that ends the row before would take it for its option.
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


LATEX_COLUMNS = 12
"""Of one printed table at most; a column of intervals is as wide as two."""


def to_latex(table: Table) -> str:
    """`table` environments for booktabs and graphicx, caption above, notes below in small type.

    A table of more than `LATEX_COLUMNS` becomes several with the same rows, each with the text columns that name a row;
    one that is still wider than the page is shrunk to it.
    """
    packages = r"% needs \usepackage{booktabs,graphicx}"
    return "\n".join([packages, *map(_latex_table, narrow_parts(table))]) + "\n"


def _latex_table(table: Table) -> str:
    align = "".join("l" if text else "r" for text in columns_are_text(table))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_escape(table.title)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9_:.-]', '-', table.name)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        *_latex_groups(table.columns),
        " & ".join(latex_escape(column.heading) for column in table.columns) + r" \\",
        r"\midrule",
        *(
            " & ".join(
                latex_escape(show(cell, column))
                for cell, column in zip(row, table.columns, strict=True)
            )
            + r" \\"
            for row in table.rows
        ),
        r"\bottomrule",
        r"\end{tabular}}",
        *([r"\par\smallskip\footnotesize", *map(latex_escape, table.notes)] if table.notes else []),
        r"\end{table}",
    ]
    return "\n".join(lines)


def narrow_parts(table: Table, columns: int = LATEX_COLUMNS) -> list[Table]:
    """The table itself, or several with the same rows and at most so many columns, a column of intervals counted twice.

    Each part begins with the leading text columns, which name a row. Columns of one group stay together where they fit.
    """
    widths = [
        2 if any(isinstance(row[place], Interval) for row in table.rows) else 1
        for place in range(len(table.columns))
    ]
    if sum(widths) <= columns:
        return [table]
    text = columns_are_text(table)
    keys = text.index(False) if False in text else 1
    room = max(columns - keys, 2)
    parts = _packed(_units(table.columns, widths, keys, room), widths, room)
    names = range(keys)
    return [
        _part(table, [*names, *places], number, len(parts))
        for number, places in enumerate(parts, start=1)
    ]


def _units(
    columns: Sequence[Column], widths: Sequence[int], keys: int, room: int
) -> list[list[int]]:
    """Places of the columns after the keys, those of a group that fits together, each other alone."""
    units, start = [], keys
    for group, size in column_groups(columns[keys:]):
        places = list(range(start, start + size))
        together = group and sum(widths[place] for place in places) <= room
        units += [places] if together else [[place] for place in places]
        start += size
    return units


def _packed(units: Sequence[Sequence[int]], widths: Sequence[int], room: int) -> list[list[int]]:
    """Units in order, as many in each part as there is room for."""
    parts: list[list[int]] = [[]]
    for unit in units:
        width = sum(widths[place] for place in [*parts[-1], *unit])
        if parts[-1] and width > room:
            parts.append([])
        parts[-1] += unit
    return parts


def _part(table: Table, places: Sequence[int], number: int, of: int) -> Table:
    if of == 1:
        return table
    return replace(
        table,
        name=table.name if number == 1 else f"{table.name}-{number}",
        title=f"{table.title} (part {number} of {of})",
        columns=tuple(table.columns[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in table.rows),
    )


def render(table: Table, suffix: str) -> str:
    """The table in the form of a file name's ending: ".csv", ".tex" or ".md"."""
    if suffix == ".md":
        return f"# {table.title}\n\n{to_markdown(table)}"
    return {".csv": to_csv, ".tex": to_latex}[suffix](table)


def column_groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Runs of columns with one group, (group, number of columns), in order."""
    runs: list[tuple[str, int]] = []
    for column in columns:
        if runs and runs[-1][0] == column.group:
            runs[-1] = (column.group, runs[-1][1] + 1)
        else:
            runs.append((column.group, 1))
    return runs


def _latex_groups(columns: Sequence[Column]) -> list[str]:
    if not any(column.group for column in columns):
        return []
    cells, rules, start = [], [], 1
    for group, width in column_groups(columns):
        cells.append(
            rf"\multicolumn{{{width}}}{{c}}{{{latex_escape(group)}}}"
            if group
            else " & ".join([""] * width)
        )
        if group:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [" & ".join(cells) + r" \\", "".join(rules)]
