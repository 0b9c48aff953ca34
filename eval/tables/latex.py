"""A table in LaTeX: booktabs, parts that fit a page."""

import re
from collections.abc import Sequence
from dataclasses import replace

from eval.numbers.values import Interval
from eval.tables.table import Column, Table, column_groups, columns_are_text

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

    A table of more than `LATEX_COLUMNS` becomes several with the same rows, each with the text
    columns that name a row; one that is still wider than the page is shrunk to it.
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
        *(" & ".join(map(latex_escape, row)) + r" \\" for row in table.shown()),
        r"\bottomrule",
        r"\end{tabular}}",
        *([r"\par\smallskip\footnotesize", *map(latex_escape, table.notes)] if table.notes else []),
        r"\end{table}",
    ]
    return "\n".join(lines)


def narrow_parts(table: Table, columns: int = LATEX_COLUMNS) -> list[Table]:
    """The table itself, or several with the same rows and at most so many columns, a column of
    intervals counted twice.

    Each part begins with the leading text columns, which name a row. Columns of one group stay
    together where they fit.
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
    """Places of the columns after the keys, those of a group that fits
    together, each other alone.
    """
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
