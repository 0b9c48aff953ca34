"""Records cut by what the questions are: dataset, task, subset, rarity of the entity, margin of the votes.

Quarters of rarity and of vote margin are cut at the quartiles over the distinct questions of all models at hand, so
every model is cut at the same values; a value at a quartile is in the lower quarter. Equal values are never parted,
so with many ties there are fewer than four. A record without a value stands in no slice of that dimension, and a
dimension in which no record has a value is left out.
The checkpoint's step is in the model's name (`model_names.checkpoint`), so it is no slice of a model's records.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from eval.paper import SUBSETS
from eval.records import AnswerRecord

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


def quarter_edges(records: Sequence[AnswerRecord]) -> dict[str, list[float]]:
    """Lowest value, distinct quartiles and highest value of each quantity that is cut into quarters.

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
    found: Slices = {
        "dataset": _grouped(records, lambda record: record.dataset),
        "task": _grouped(records, lambda record: record.task),
        "subset": _by_subset(records),
        "dataset_subset": {},
    }
    for dataset, answers in found["dataset"].items():
        for subset, part in _by_subset(answers).items():
            found["dataset_subset"][f"{dataset}/{subset}"] = part
    for dimension, cuts in edges.items():
        found[dimension] = _by_quarter(records, _QUARTERS[dimension], cuts)
    return {dimension: parts for dimension, parts in found.items() if parts}


def _grouped(
    records: Sequence[AnswerRecord], key: Callable[[AnswerRecord], str]
) -> dict[str, list[AnswerRecord]]:
    """By key, in its order; records with an empty key are left out."""
    groups: dict[str, list[AnswerRecord]] = {
        name: [] for name in sorted({key(record) for record in records} - {""})
    }
    for record in records:
        if name := key(record):
            groups[name].append(record)
    return groups


def _by_subset(records: Sequence[AnswerRecord]) -> dict[str, list[AnswerRecord]]:
    groups = _grouped(records, lambda record: record.subset)
    return {
        name: groups[name]
        for name in (*SUBSETS, *sorted(groups.keys() - set(SUBSETS)))
        if name in groups
    }


def _by_quarter(
    records: Sequence[AnswerRecord],
    value_of: Callable[[AnswerRecord], float | None],
    cuts: Sequence[float],
) -> dict[str, list[AnswerRecord]]:
    names = quarter_names(cuts)
    groups: dict[str, list[AnswerRecord]] = {name: [] for name in names}
    for record in records:
        if (value := value_of(record)) is not None:
            groups[names[int(np.searchsorted(cuts[1:-1], value, side="left"))]].append(record)
    return {name: group for name, group in groups.items() if group}
