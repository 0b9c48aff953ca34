"""The rows of a parquet's batch, where one text that is broken must not take the others with it."""

from typing import Any


def rows_of(batch: Any) -> list[dict[str, Any]]:
    """The rows; a column whose texts are no UTF-8 is None in its row.

    Args:
        batch: pyarrow's record batch. A parquet promises UTF-8, and nobody holds its writer to it.
    """
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except UnicodeDecodeError:
        return [_row(batch, number) for number in range(batch.num_rows)]
    return rows


def _row(batch: Any, number: int) -> dict[str, Any]:
    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = column[number].as_py()
        except UnicodeDecodeError:
            row[name] = None
    return row
