"""Calibration metrics over arrays of shape (n,): ECE, AUROC, Brier score, and bootstrap intervals for them.

`confidence` is the stated probability c_i of being right; `correct` is the verdict y_i. A verdict is binary for a
question with one answer and may be graded in [0, 1] for a description (the share of it that is right):

    ECE   = sum_b (n_b / n) * |mean(y in b) - mean(c in b)|     Naeini et al. 2015, Guo et al. 2017; equal-width bins
    Brier = mean((c - y)^2)                                     Brier 1950
    AUROC = P(c+ > c-) + P(c+ = c-) / 2                         an item is y of a positive and 1 - y of a negative

For binary verdicts the AUROC is the ordinary one. A graded item stands on both sides, so it also meets itself, which
counts as the tie that it is.

Bins. With B bins, bin k holds k/B <= c < (k+1)/B, and the last one also 1. The edges k/B are the correctly rounded
quotients in the dtype of `confidence`, and the comparison is exact. So 0.3 opens bin 3 of ten, as do 0.1 * 3
(0.30000000000000004) and float32(0.7) bin 7 (the float32 next to 0.7 is below the float64 edge, but equals the float32
one); `linspace` edges (0.30000000000000004) and `int(c * B)` (0.29 * 100 = 28.999...) both get such values wrong. No
tolerance is used: 1 - 0.9 = 0.09999999999999998 is less than 0.1 and stays in bin 0.

Undefined values (n = 0; AUROC with one class only) are NaN, never 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEFAULT_BINS = 10
_RESAMPLED_VALUES_PER_BATCH = 4_000_000  # bounds the memory of one bootstrap batch to some 100 MB


@dataclass(frozen=True)
class ReliabilityBins:
    """What a reliability diagram shows; every array has shape (n_bins,), means of empty bins are NaN."""

    edges: NDArray[np.float64]  # (n_bins + 1,), from 0 to 1
    count: NDArray[np.int64]
    mean_confidence: NDArray[np.float64]
    mean_correct: NDArray[np.float64]


def _checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Both as float arrays of one shape (n,), values in [0, 1]; confidence keeps its float dtype (see Bins above)."""
    c, y = np.asarray(confidence), np.asarray(correct)
    if c.ndim != 1 or c.shape != y.shape:
        raise ValueError(f"confidence and correct must have one shape (n,), got {c.shape} and {y.shape}")
    c = c if np.issubdtype(c.dtype, np.floating) else c.astype(np.float64)
    y = y.astype(np.float64)
    for name, values in (("confidence", c), ("correct", y)):
        bad = ~((values >= 0) & (values <= 1))  # also true for NaN
        if bad.any():
            raise ValueError(f"{name} must lie in [0, 1], got {values[bad][0]} at position {int(bad.argmax())}")
    return c, y


def _bin_index(confidence: NDArray[np.floating], n_bins: int) -> NDArray[np.intp]:
    """Index of each confidence's bin, shape (n,), in 0 .. n_bins - 1."""
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    inner_edges = (np.arange(1, n_bins) / n_bins).astype(confidence.dtype)
    return np.searchsorted(inner_edges, confidence, side="right")


def reliability_bins(confidence: ArrayLike, correct: ArrayLike, n_bins: int = DEFAULT_BINS) -> ReliabilityBins:
    """Counts and means per equal-width bin of confidence, for the diagram and the ECE.

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    c, y = _checked(confidence, correct)
    index = _bin_index(c, n_bins)
    count = np.bincount(index, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, weights=c, minlength=n_bins) / count
        mean_correct = np.bincount(index, weights=y, minlength=n_bins) / count
    return ReliabilityBins(np.arange(n_bins + 1) / n_bins, count, mean_confidence, mean_correct)


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, n_bins: int = DEFAULT_BINS) -> float:
    """ECE with equal-width bins, the last one closed; in [0, 1], NaN for n = 0.

    >>> round(expected_calibration_error([0.9, 0.9, 0.2], [1, 0, 0]), 4)  # 2/3 * |0.5 - 0.9| + 1/3 * |0 - 0.2|
    0.3333

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1]; a bin's accuracy is their mean.

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    c, y = _checked(confidence, correct)
    index = _bin_index(c, n_bins)
    gap = np.bincount(index, weights=y - c, minlength=n_bins)  # n_b * (accuracy - confidence) of each bin
    return float(np.abs(gap).sum() / c.size) if c.size else float("nan")


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

    c, y = _checked(confidence, correct)
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
    c, y = _checked(confidence, correct)
    return float(np.mean((c - y) ** 2)) if c.size else float("nan")


def _grouped_sums(group: NDArray[np.intp], values: NDArray[np.float64], n_groups: int) -> NDArray[np.float64]:
    """Sums of values (rows, n) by group (rows, n) within each row, shape (rows, n_groups)."""
    rows = group.shape[0]
    flat = (group + np.arange(rows)[:, None] * n_groups).ravel()
    sums = np.bincount(flat, weights=values.ravel(), minlength=rows * n_groups).astype(np.float64, copy=False)
    return sums.reshape(rows, n_groups)


def _ece_rows(c: NDArray[np.floating], y: NDArray[np.float64], take: NDArray[np.intp]) -> NDArray[np.float64]:
    gap = _grouped_sums(_bin_index(c, DEFAULT_BINS)[take], (y - c)[take], DEFAULT_BINS)
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
    c, y = _checked(confidence, correct)
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
