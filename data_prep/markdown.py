"""Tables in Markdown that can also be read as they are printed."""

from collections.abc import Sequence

from reward_fns.markup import literal


def markdown_table(rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """The rows, the first one the heading; the first `left` columns are names, the others numbers.

    >>> print(markdown_table([("name", "n"), ("a", "10")], left=1))
    | name |  n |
    | ---- | -: |
    | a    | 10 |
    """
    rows = [[literal(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    marks = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [
        [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], marks, *lines[1:]])
