"""Calibration metrics over arrays of shape (n,): ECE, AUROC, Brier score, and bootstrap intervals for them.

`confidence` is the stated probability c_i of being right; `correct` is the verdict y_i. A verdict is binary for a
question with one answer and may be graded in [0, 1] for a description (the share of it that is right):

    ECE   = sum_b (n_b / n) * |mean(y in b) - mean(c in b)|     see `reward_fns.calibration`
    Brier = mean((c - y)^2)                                     Brier 1950
    AUROC = P(c+ > c-) + P(c+ = c-) / 2                         an item is y of a positive and 1 - y of a negative

For binary verdicts the AUROC is the ordinary one. A graded item stands on both sides, so it also meets itself, which
counts as the tie that it is.

Undefined values (n = 0; AUROC with one class only) are NaN, never 0.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_fns.calibration import (
    DEFAULT_BINS,
    ReliabilityBins,
    bin_index,
    checked_answers,
    expected_calibration_error,
    reliability_bins,
)

__all__ = [
    "DEFAULT_BINS",
    "ReliabilityBins",
    "auroc",
    "bootstrap_interval",
    "brier_score",
    "expected_calibration_error",
    "reliability_bins",
]

_RESAMPLED_VALUES_PER_BATCH = 4_000_000  # bounds the memory of one bootstrap batch to some 100 MB


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the ROC curve of confidence as a score for correctness; in [0, 1], ties count one half.

    An item is a positive of weight `correct` and a negative of weight `1 - correct`. NaN when one class has no weight.

    >>> auroc([0.9, 0.6, 0.4], [1, 0, 1])  # one of the two (right, wrong) pairs is in order
    0.5

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    from sklearn.metrics import roc_auc_score

    c, y = checked_answers(confidence, correct)
    if not 0 < y.sum() < y.size:
        return float("nan")
    label = np.repeat([1, 0], y.size)
    return float(roc_auc_score(label, np.tile(c, 2), sample_weight=np.concatenate([y, 1 - y])))


def brier_score(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared difference of confidence and verdict; in [0, 1], NaN for n = 0.

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    c, y = checked_answers(confidence, correct)
    return float(np.mean((c - y) ** 2)) if c.size else float("nan")


def _grouped_sums(group: NDArray[np.intp], values: NDArray[np.float64], n_groups: int) -> NDArray[np.float64]:
    """Sums of values (rows, n) by group (rows, n) within each row, shape (rows, n_groups)."""
    rows = group.shape[0]
    flat = (group + np.arange(rows)[:, None] * n_groups).ravel()
    sums = np.bincount(flat, weights=values.ravel(), minlength=rows * n_groups).astype(np.float64, copy=False)
    return sums.reshape(rows, n_groups)


def _ece_rows(c: NDArray[np.floating], y: NDArray[np.float64], take: NDArray[np.intp]) -> NDArray[np.float64]:
    gap = _grouped_sums(bin_index(c, DEFAULT_BINS)[take], (y - c)[take], DEFAULT_BINS)
    return np.abs(gap).sum(axis=1) / take.shape[1]


def _auroc_rows(c: NDArray[np.floating], y: NDArray[np.float64], take: NDArray[np.intp]) -> NDArray[np.float64]:
    values, rank = np.unique(c, return_inverse=True)  # resampling keeps ranks, so one sort serves all rows
    positive = _grouped_sums(rank[take], y[take], values.size)
    negative = _grouped_sums(rank[take], 1 - y[take], values.size)
    wins = (positive * (negative.cumsum(axis=1) - negative / 2)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return wins / (positive.sum(axis=1) * negative.sum(axis=1))


def _brier_rows(c: NDArray[np.floating], y: NDArray[np.float64], take: NDArray[np.intp]) -> NDArray[np.float64]:
    return ((c - y) ** 2)[take].mean(axis=1)


_ROWS = {expected_calibration_error: _ece_rows, auroc: _auroc_rows, brier_score: _brier_rows}


def bootstrap_interval(
    metric: Callable[..., float], confidence: ArrayLike, correct: ArrayLike, n_resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of 95 % for one of this module's three metrics (ECE with ten bins).

    Items are resampled in pairs (c_i, y_i). Resamples on which the metric is undefined (one class) are left out; the
    interval is (NaN, NaN) where the metric itself is undefined. An ECE is never negative and biased upwards for small
    n, and so is its interval. Written here because `scipy.stats.bootstrap` gives NaN as soon as one resample is
    undefined.

    Args:
        metric: `expected_calibration_error`, `auroc` or `brier_score`.
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: another metric, or what the metric itself refuses.
    """
    if metric not in _ROWS:
        raise ValueError(f"bootstrap_interval knows {', '.join(f.__name__ for f in _ROWS)}; got {metric}")
    c, y = checked_answers(confidence, correct)
    if np.isnan(metric(c, y)):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    rows_per_batch = max(1, _RESAMPLED_VALUES_PER_BATCH // c.size)
    values = [
        _ROWS[metric](c, y, rng.integers(0, c.size, (min(rows_per_batch, n_resamples - start), c.size)))
        for start in range(0, n_resamples, rows_per_batch)
    ]
    low, high = np.nanpercentile(np.concatenate(values), [2.5, 97.5])
    return float(low), float(high)
