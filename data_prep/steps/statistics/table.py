"""Table 1 of the user's own datasets, with the paper's beside it: Markdown to
read, CSV to compute with.

Columns as in the paper, and the number of labelled pairs and of each label, of which the
percentages are. What is undefined (see `tally`) is an empty cell in CSV and a dash in Markdown.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from data_prep.markdown import markdown_table
from data_prep.steps.statistics.tally import LABELS, Tally

COLUMNS = (
    "dataset",
    "type",
    "num_samples",
    "avg_entity_count",
    "avg_entity_rarity",
    "entailment_pct",
    "contradiction_pct",
    "neutral_pct",
    "rarity_score",
)
"""The paper's columns, in its order."""

COUNTS = ("labelled", *LABELS)
_HEADINGS = {
    "dataset": "dataset",
    "type": "type",
    "num_samples": "samples",
    "avg_entity_count": "entities an answer",
    "avg_entity_rarity": "entity frequency",
    "entailment_pct": "entailment %",
    "contradiction_pct": "contradiction %",
    "neutral_pct": "neutral %",
    "rarity_score": "rarity score",
    "labelled": "labelled",
}


@cache
def paper_table() -> tuple[dict[str, Any], ...]:
    """Table 1 as the paper prints it, in its order."""
    with Path(__file__).with_name("paper_table1.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            {
                key: value if key in ("dataset", "type") else float(value)
                for key, value in row.items()
            }
            | {"num_samples": int(row["num_samples"])}
            for row in csv.DictReader(file)
        )


def row_of(tally: Tally) -> dict[str, Any]:
    """One dataset's row."""
    return {
        "dataset": tally.dataset,
        "type": tally.task,
        "num_samples": tally.questions,
        "avg_entity_count": tally.avg_entity_count,
        "avg_entity_rarity": tally.avg_entity_rarity,
        **{f"{label}_pct": tally.share(label) for label in LABELS},
        "rarity_score": tally.rarity_score,
        "labelled": tally.labelled,
        **{label: tally.labels[label] for label in LABELS},
    }


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Both tables as CSV, full precision; the column `source` says whose row it is."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ("source", *COLUMNS, *COUNTS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({"source": "run", **row} for row in rows)
    writer.writerows({"source": "paper", **row} for row in paper_table())
    return buffer.getvalue()


def as_markdown(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = COLUMNS) -> str:
    """A Markdown table of these columns, aligned for reading as it is."""
    columns = tuple(columns)
    cells = [[_HEADINGS[column] for column in columns]]
    cells += [[_cell(row.get(column)) for column in columns] for row in rows]
    return markdown_table(cells)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
