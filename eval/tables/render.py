"""A table in its written forms: CSV and Markdown here, LaTeX in `latex`."""

import csv
import io
import re
from collections.abc import Sequence

from eval.numbers.values import Interval
from eval.tables.latex import to_latex
from eval.tables.table import Table, columns_are_text
from reward_fns.markup import literal


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
    """A text that a spreadsheet would take for a formula gets the apostrophe that
    makes it a text there too.
    """
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
        cells = [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, text, strict=True)
        ]
        return f"| {' | '.join(cells)} |"

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
    body = markdown_table(header, table.shown(), columns_are_text(table))
    notes = "".join(f"- {literal(note)}\n" for note in table.notes)
    return body + (f"\n{notes}" if notes else "")


def render(table: Table, suffix: str) -> str:
    """The table in the form of a file name's ending: ".csv", ".tex" or ".md"."""
    if suffix == ".md":
        return f"# {literal(table.title)}\n\n{to_markdown(table)}"
    return {".csv": to_csv, ".tex": to_latex}[suffix](table)
