"""Resamples of answers, for the bootstrap: how often each answer is drawn.

Answers are drawn with replacement within each stratum (the dataset), so that every resample has
each dataset's share; with one stratum that is the ordinary bootstrap. A resample is kept as counts:
drawing n answers is a multinomial draw over the distinct answers, which for confidences on a grid
are few, however large n is.

Of more than 4,000 distinct answers it is a bag of little bootstraps (Kleiner et al. 2014): ten
random parts of 2,500 questions, from each of which resamples of the full size n are drawn. A
resample then costs as much as 2,500 answers, whatever n is. What the resamples of a part differ
from their mean by is put about the estimate of all answers.

Answers to one question depend on each other. Where a question has several (`clusters`), whole
questions are resampled: resampling its answers one by one would make an interval that is too
narrow by up to the root of their number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.ranked import Floats

LARGEST = 4000
"""So many distinct answers are resampled as they are; more in `BAGS` parts of `BAG` questions."""
BAGS, BAG = 10, 2500
_FEWEST_OF_A_STRATUM = 100  # in a part, where the stratum has as many
_DRAWS_AT_ONCE = 500_000  # of a block of resamples: one call for many small ones
_VALUES_PER_BATCH = 4_000_000  # bounds the memory of a batch of resamples to some 200 MB


def stratum_numbers(n: int, strata: ArrayLike | None) -> NDArray[np.intp]:
    """(n,) numbers 0, 1, ... in the place of the labels; None: all are in one stratum.

    Raises:
        ValueError: strata are not one a row.
    """
    if strata is None:
        return np.zeros(n, dtype=np.intp)
    numbers = np.unique(np.asarray(strata), return_inverse=True)[1]
    if numbers.shape != (n,):
        raise ValueError(f"strata must have shape ({n},), got {numbers.shape}")
    return numbers


def distinct(
    columns: Sequence[NDArray[np.floating]], strata: ArrayLike | None
) -> tuple[NDArray[np.intp], ...]:
    """Distinct rows of equally long columns (n,), within strata.

    Returns:
        representative: (m,), index of one row of each kind, ordered by stratum and
            then by the first column.
        count: (m,), how many rows are of that kind.
        border: (s + 1,), where each stratum begins among the m, and m itself.

    Raises:
        ValueError: strata are not one a row.
    """
    n = columns[0].size
    labels = stratum_numbers(n, strata)
    order = np.lexsort([*reversed(columns), labels])
    changed = np.zeros(n, dtype=bool)
    for column in (labels, *columns):
        changed |= np.concatenate([[True], column[order][1:] != column[order][:-1]])
    start = np.flatnonzero(changed)
    representative = order[start]
    count = np.diff(np.append(start, n))
    border = np.searchsorted(labels[representative], np.arange(labels[representative][-1] + 2))
    return representative, count, border


def resampled_counts(
    count: NDArray[np.intp], border: NDArray[np.intp], n_resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Batches (rows, m) of how often each distinct answer is drawn; a stratum's
    counts add up to its size.
    """
    rows_per_batch = max(1, _VALUES_PER_BATCH // count.size)
    strata = [
        (low, high, count[low:high]) for low, high in zip(border[:-1], border[1:], strict=True)
    ]
    for start in range(0, n_resamples, rows_per_batch):
        rows = min(rows_per_batch, n_resamples - start)
        drawn = np.empty((rows, count.size))
        for low, high, kinds in strata:
            drawn[:, low:high] = _multinomial(kinds, rows, rng)
        yield drawn


def _multinomial(
    kinds: NDArray[np.intp], rows: int, rng: np.random.Generator
) -> NDArray[np.integer]:
    """`kinds.sum()` draws over the kinds in proportion to their counts, (rows, kinds): one
    law, two ways to draw.
    """
    n = int(kinds.sum())
    if kinds.size * 4 <= n:
        return rng.multinomial(n, kinds / n, size=rows)
    kind_of = np.repeat(np.arange(kinds.size), kinds)
    drawn = np.empty((rows, kinds.size), dtype=np.intp)
    step = max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, rows, step):
        block = drawn[start : start + step]
        cell = kind_of[rng.integers(0, n, (len(block), n), dtype=np.int32)]
        cell += np.arange(len(block))[:, None] * kinds.size
        block[:] = np.bincount(cell.ravel(), minlength=block.size).reshape(block.shape)
    return drawn


@dataclass(frozen=True)
class Bag:
    """Resamples of some of the answers.

    Attributes:
        rows: (m,), indices of the answers that stand for all.
        count: (m,), how many answers each stands for.
        weights: batches (resamples, m) of how often each is drawn.
    """

    rows: NDArray[np.intp]
    count: NDArray[np.intp]
    weights: Iterator[Floats]


def resampled_bags(
    columns: Sequence[NDArray[np.floating]],
    strata: ArrayLike | None,
    clusters: ArrayLike | None,
    n_resamples: int,
    seed: int,
) -> list[Bag]:
    """Resamples of equally long columns (n,), within strata, of whole clusters: one bag of all
    answers, or little ones.

    Raises:
        ValueError: a cluster lies in two strata.
    """
    rng = np.random.default_rng(seed)
    n = columns[0].size
    names, first, owner = np.unique(
        np.arange(n) if clusters is None else np.asarray(clusters),
        return_index=True,
        return_inverse=True,
    )
    single = names.size == n
    labels = np.zeros(n, dtype=np.intp) if strata is None else np.asarray(strata)
    if single:
        representative, count, border = distinct(columns, strata)
        if representative.size <= LARGEST:
            drawn = resampled_counts(count, border, n_resamples, rng)
            return [Bag(representative, count, drawn)]
    elif (labels != labels[first][owner]).any():
        raise ValueError("the answers to a question lie in two strata")
    if names.size > LARGEST:
        return _little_bags(owner, labels[first], n_resamples, rng)
    order, one, border = distinct([np.arange(names.size, dtype=np.float64)], labels[first])
    place = np.empty(names.size, dtype=np.intp)
    place[order] = np.arange(names.size)
    drawn = resampled_counts(one, border, n_resamples, rng)
    weights = (counts[:, place[owner]] for counts in drawn)
    return [Bag(np.arange(n), np.ones(n, dtype=np.intp), weights)]


def _little_bags(
    owner: NDArray[np.intp],
    labels: NDArray[np.generic],
    n_resamples: int,
    rng: np.random.Generator,
) -> list[Bag]:
    """`BAGS` bags; owner (n,) is each answer's question, labels (k,) each question's stratum."""
    strata = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    share = BAG / labels.size
    sizes = [min(s.size, max(_FEWEST_OF_A_STRATUM, round(share * s.size))) for s in strata]
    found = []
    for k in range(BAGS):
        rows = n_resamples // BAGS + (k < n_resamples % BAGS)
        part = [rng.choice(s, size, replace=False) for s, size in zip(strata, sizes, strict=True)]
        column = np.full(labels.size, -1)
        column[np.concatenate(part)] = np.arange(sum(sizes))
        inside = np.flatnonzero(column[owner] >= 0)
        counts = np.hstack(
            [
                rng.multinomial(s.size, np.full(size, 1 / size), size=rows)
                for s, size in zip(strata, sizes, strict=True)
            ]
        )
        weights = counts.astype(np.float64)[:, column[owner[inside]]]
        found.append(Bag(inside, np.ones(inside.size, dtype=np.intp), iter([weights])))
    return found


def about(estimate: float, bags: Sequence[Floats]) -> Floats:
    """Values of all resamples: of one bag as they are; of little ones by how much they differ from
    their mean, added to the estimate of all answers."""
    if len(bags) == 1:
        return bags[0]
    return np.concatenate(
        [
            estimate + values - (np.nanmean(values) if not np.isnan(values).all() else np.nan)
            for values in bags
            if values.size
        ]
    )
