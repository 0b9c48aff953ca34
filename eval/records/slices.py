"""Records cut by what the questions are: dataset, task, subset, rarity of the
entity, margin of the votes.

Quarters of rarity and of vote margin are cut at the quartiles over the distinct questions of
all models at hand, so every model is cut at the same values; a value at a quartile is in the
lower quarter. Equal values are never parted, so with many ties there are fewer than four. A
record without a value stands in no slice of that dimension, and a dimension in which no record
has a value is left out.
The checkpoint's step is in the model's name (`model_names.checkpoint`), so it is no
slice of a model's records.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eval.paper import SUBSETS
from eval.records.record import AnswerRecord

DIMENSIONS = {
    "dataset": "dataset",
    "task": "task",
    "subset": "subset (Better against Worse answer)",
    "dataset_subset": "dataset and subset",
    "rarity": "rarity of the entity, quarters",
    "vote_margin": "margin of the self-verification votes, quarters",
}
"""Name in report.json -> title."""

_QUARTERS: dict[str, Callable[[AnswerRecord], float | None]] = {
    "rarity": lambda record: record.entity_rarity,
    "vote_margin": lambda record: record.vote_margin,
}
_ORDINALS = ("1st", "2nd", "3rd", "4th")

Edges = Mapping[str, Sequence[float]]
Slices = dict[str, dict[str, list[AnswerRecord]]]
Rows = NDArray[np.intp]
SliceRows = dict[str, dict[str, Rows]]


def quarter_edges(records: Sequence[AnswerRecord]) -> dict[str, list[float]]:
    """Lowest value, distinct quartiles and highest value of each quantity
    that is cut into quarters.

    A quantity is left out if fewer than two distinct values are known.
    """
    edges = {}
    for dimension, value_of in _QUARTERS.items():
        by_question = {record.question_id: value_of(record) for record in records}
        values = [value for value in by_question.values() if value is not None]
        if len(set(values)) > 1:
            cuts = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            edges[dimension] = [float(cut) for cut in np.unique(cuts)]
    return edges


def quarter_names(edges: Sequence[float]) -> list[str]:
    """Titles of the quarters, the lowest first, with the values that each holds.

    >>> quarter_names([0.0, 0.5, 1.0])
    ['1st of 2: 0 to 0.5', '2nd of 2: over 0.5 to 1']
    """
    spans = list(pairwise(edges))
    return [
        f"{_ORDINALS[k]} of {len(spans)}: {'over ' if k else ''}{low:.3g} to {high:.3g}"
        for k, (low, high) in enumerate(spans)
    ]


def slices(records: Sequence[AnswerRecord], edges: Edges) -> Slices:
    """dimension -> value -> records, in the order that tables show.

    Args:
        records: of one model and protocol.
        edges: of `quarter_edges`, over all models.
    """
    return {
        dimension: {name: [records[i] for i in rows.tolist()] for name, rows in parts.items()}
        for dimension, parts in slice_rows(records, edges).items()
    }


def slice_rows(records: Sequence[AnswerRecord], edges: Edges) -> SliceRows:
    """`slices` by the places of the records in their list, ascending."""
    every = np.arange(len(records))
    subset = np.array([record.subset for record in records])
    found: SliceRows = {
        "dataset": _grouped(np.array([record.dataset for record in records]), every),
        "task": _grouped(np.array([record.task for record in records]), every),
        "subset": _by_subset(subset, every),
        "dataset_subset": {},
    }
    for dataset, rows in found["dataset"].items():
        for name, part in _by_subset(subset, rows).items():
            found["dataset_subset"][f"{dataset}/{name}"] = part
    for dimension, cuts in edges.items():
        found[dimension] = _by_quarter(map(_QUARTERS[dimension], records), cuts)
    return {dimension: parts for dimension, parts in found.items() if parts}


def _grouped(labels: NDArray[np.str_], rows: Rows) -> dict[str, Rows]:
    """Those of the rows under each label, in its order; rows with an empty label are left out."""
    here = labels[rows]
    return {str(name): rows[here == name] for name in np.unique(here) if name}


def _by_subset(labels: NDArray[np.str_], rows: Rows) -> dict[str, Rows]:
    groups = _grouped(labels, rows)
    return {
        name: groups[name]
        for name in (*SUBSETS, *sorted(groups.keys() - set(SUBSETS)))
        if name in groups
    }


def _by_quarter(values: Iterable[float | None], cuts: Sequence[float]) -> dict[str, Rows]:
    known = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    quarter = np.where(
        np.isnan(known), -1, np.searchsorted(cuts[1:-1], np.nan_to_num(known), side="left")
    )
    groups = {name: np.flatnonzero(quarter == k) for k, name in enumerate(quarter_names(cuts))}
    return {name: rows for name, rows in groups.items() if rows.size}
