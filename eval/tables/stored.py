"""Tables as one JSON file, so that another command shows them as they were:
`write_tables`, `read_tables`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.tables.table import Cell, Column, Interval, Table
from reward_fns.errors import UserError
from reward_fns.files import read_mapping, write_json


def write_tables(path: Path, tables: Sequence[Table]) -> None:
    """Write them; an interval is a list of three."""
    write_json(path, {"tables": [asdict(table) for table in tables]})


def read_tables(path: Path) -> list[Table]:
    """The tables of such a file.

    Raises:
        UserError: it is missing, or holds something else.
    """
    try:
        return [_table(one) for one in read_mapping(path)["tables"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} holds no tables ({error}): make it anew") from error


def _table(stored: dict[str, Any]) -> Table:
    texts = [stored["name"], stored["title"], *stored["notes"]]
    columns = tuple(Column(**column) for column in stored["columns"])
    for text in (*texts, *(text for column in columns for text in (column.name, column.group))):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no text")
    rows = tuple(tuple(map(_cell, row)) for row in stored["rows"])
    return Table(texts[0], texts[1], columns, rows, tuple(texts[2:]))


def _cell(stored: Any) -> Cell:
    if not isinstance(stored, list):
        if stored is None or isinstance(stored, str | int | float):
            return stored
        raise TypeError(f"a cell is a {type(stored).__name__}")
    if None in stored:
        return None
    return Interval(*map(float, stored))
