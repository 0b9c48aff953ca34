"""Percentile bootstrap: intervals for a metric, and for the difference of two models on the same questions.

Answers are resampled with replacement within each stratum (the dataset), so that every resample has each dataset's
share; with one stratum that is the ordinary bootstrap. A resample is kept as counts: drawing n answers is a multinomial
draw over the distinct answers, which for confidences on a grid are few, however large n is. The metric is then computed
exactly on each resample (see `ranked`).

Answers to one question depend on each other. Where a question has several (`clusters`), whole questions are resampled:
resampling its answers one by one would make an interval that is too narrow by up to the root of their number.

An interval shows sampling error only. An ECE is never negative and biased upwards for small n, and so is its interval.
Resamples on which the metric is undefined (one class) are left out (`scipy.stats.bootstrap`, without strata, gives
NaN as soon as one resample is undefined).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.ranked import Floats, Rows, rank
from reward_fns.calibration import checked_answers

LEVEL = 0.95
N_RESAMPLES = 1000
_DRAWS_AT_ONCE = 500_000  # of a block of resamples: one call for many small ones
_ROUNDING = 1e-12  # of values in [0, 1]
_VALUES_PER_BATCH = 4_000_000  # bounds the memory of a batch of resamples to some 200 MB


@dataclass(frozen=True)
class Difference:
    """Metric of a minus metric of b on the same questions, with its interval.

    `p_value`: two-sided, twice the smaller share of resamples on either side of 0 (at least 2 / number of resamples).
    `p_smooth`: without that floor, which an adjustment for a hundred pairs could not get below 0.05: of a normal law
    with the bootstrap's standard error, or of the law that the metric has of its own (`debiased`).
    NaN where the metric is undefined for one of the two.
    """

    value: float
    low: float
    high: float
    p_value: float
    p_smooth: float = float("nan")


def distinct(
    columns: Sequence[NDArray[np.floating]], strata: ArrayLike | None
) -> tuple[NDArray[np.intp], ...]:
    """Distinct rows of equally long columns (n,), within strata.

    Returns:
        representative: (m,), index of one row of each kind, ordered by stratum and then by the first column.
        count: (m,), how many rows are of that kind.
        border: (s + 1,), where each stratum begins among the m, and m itself.

    Raises:
        ValueError: strata are not one a row.
    """
    n = columns[0].size
    labels = (
        np.zeros(n, dtype=np.intp)
        if strata is None
        else np.unique(np.asarray(strata), return_inverse=True)[1]
    )
    if labels.shape != (n,):
        raise ValueError(f"strata must have shape ({n},), got {labels.shape}")
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
    """Batches (rows, m) of how often each distinct answer is drawn; a stratum's counts add up to its size."""
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
    """`kinds.sum()` draws over the kinds in proportion to their counts, (rows, kinds): one law, two ways to draw."""
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


def resampled_weights(
    columns: Sequence[NDArray[np.floating]],
    strata: ArrayLike | None,
    clusters: ArrayLike | None,
    n_resamples: int,
    seed: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp], Iterator[Floats]]:
    """Resamples of equally long columns (n,), within strata, of whole clusters.

    Returns:
        representative: (m,), indices of the rows that stand for all.
        count: (m,), how many rows each stands for.
        weights: batches (rows, m) of how often each is drawn.

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
    if names.size == n:
        representative, count, border = distinct(columns, strata)
        return representative, count, resampled_counts(count, border, n_resamples, rng)
    labels = np.zeros(n, dtype=np.intp) if strata is None else np.asarray(strata)
    if (labels != labels[first][owner]).any():
        raise ValueError("the answers to a question lie in two strata")
    order, one, border = distinct([np.arange(names.size, dtype=np.float64)], labels[first])
    place = np.empty(names.size, dtype=np.intp)
    place[order] = np.arange(names.size)
    drawn = resampled_counts(one, border, n_resamples, rng)
    every = np.arange(n)
    return every, np.ones(n, dtype=np.intp), (counts[:, place[owner]] for counts in drawn)


def bootstrap_rows(
    metrics: Mapping[str, Rows],
    confidence: ArrayLike,
    correct: ArrayLike,
    strata: ArrayLike | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> dict[str, Floats]:
    """Values of several metrics on the same resamples, each (n_resamples,), NaN where undefined; n must be over 0."""
    c, y = checked_answers(confidence, correct)
    representative, _, resamples = resampled_weights([c, y], strata, clusters, n_resamples, seed)
    answers = rank(c[representative], y[representative])
    values: dict[str, list[Floats]] = {name: [] for name in metrics}
    for drawn in resamples:
        weights = answers.weights(drawn)
        for name, rows in metrics.items():
            values[name].append(rows(answers, weights))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def percentile_interval(values: Floats) -> tuple[float, float]:
    """Bounds of the middle 95 % of the defined values; NaN without any."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def paired_differences(
    metrics: Mapping[str, Rows],
    a: tuple[ArrayLike, ArrayLike],
    b: tuple[ArrayLike, ArrayLike],
    strata: ArrayLike | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> dict[str, Difference]:
    """Differences of two models that answered the same questions, of several metrics on the same resamples.

    Args:
        a, b: (confidence, correct) of each model, all (n,), position i of all four is the same question; a question
            is drawn with all its answers.

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    (ca, ya), (cb, yb) = checked_answers(*a), checked_answers(*b)
    if ca.shape != cb.shape:
        raise ValueError(f"a and b must answer the same questions, got {ca.size} and {cb.size}")
    if not ca.size:
        return dict.fromkeys(metrics, _UNDEFINED)
    representative, count, resamples = resampled_weights(
        [ca, ya, cb, yb], strata, clusters, n_resamples, seed
    )
    first = rank(ca[representative], ya[representative])
    second = rank(cb[representative], yb[representative])

    def differences(counts: Floats) -> dict[str, Floats]:
        of_a, of_b = first.weights(counts), second.weights(counts)
        return {name: rows(first, of_a) - rows(second, of_b) for name, rows in metrics.items()}

    here = differences(count[None, :].astype(np.float64))
    drawn: dict[str, list[Floats]] = {name: [] for name in metrics}
    for counts in resamples:
        for name, values in differences(counts).items():
            drawn[name].append(values)
    return {
        name: _difference(float(here[name][0]), np.concatenate(drawn[name])) for name in metrics
    }


_UNDEFINED = Difference(*[float("nan")] * 5)


def _difference(value: float, resampled: Floats) -> Difference:
    if np.isnan(value):
        return _UNDEFINED
    defined = resampled[~np.isnan(resampled)]
    low, high = percentile_interval(resampled)
    side = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    share = min(1.0, 2 * max(side, 1) / max(defined.size, 1))
    return Difference(value, low, high, share, _normal_p_value(value, defined))


def _normal_p_value(value: float, resampled: Floats) -> float:
    from scipy.stats import norm

    error = float(resampled.std(ddof=1)) if resampled.size > 1 else float("nan")
    if error < _ROUNDING:  # nothing was left to chance
        return float(abs(value) < _ROUNDING)
    return float(2 * norm.sf(abs(value) / error))
