"""Expected calibration error with its bins, and the Brier score's parts, over arrays of shape (n,):
for training curves and evaluation alike.

`confidence` is the stated probability c_i of being right; `correct` is the verdict y_i,
binary for a question with one answer and perhaps graded in [0, 1] for a description (the
share of it that is right):

    ECE = sum_b (n_b / n) * |mean(y in b) - mean(c in b)|
          Naeini et al. 2015, Guo et al. 2017; equal-width bins

The estimate is never negative, so with few answers it is biased upwards: a calibrated
model has an ECE above 0.

Bins. With B bins, bin k holds k/B <= c < (k+1)/B, and the last one also 1. The edges k/B are the
correctly rounded quotients in the dtype of `confidence`, and the comparison is exact. So 0.3 opens
bin 3 of ten, as do 0.1 * 3 (0.30000000000000004) and float32(0.7) bin 7 (the float32 next to 0.7
is below the float64 edge, but equals the float32 one); `linspace` edges (0.30000000000000004) and
`int(c * B)` (0.29 * 100 = 28.999...) both get such values wrong. No tolerance is used:
1 - 0.9 = 0.09999999999999998 is less than 0.1 and stays in bin 0.

For n = 0 the ECE is NaN, never 0.

The Brier score in parts (Murphy 1973), over groups k of answers:

    Brier       = mean((c - y)^2) = reliability - resolution + uncertainty (+ within-group terms)
    reliability = sum_k n_k/n (conf_k - acc_k)^2
    resolution  = sum_k n_k/n (acc_k - acc)^2
    uncertainty = var(y)

Grouped by distinct confidence this is exact. Grouped by bins of equal width, two more terms make
it exact (Stephenson et al. 2008): + var(c within bins) - 2 cov(c, y within bins). var(y) is
acc (1 - acc) for binary verdicts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEFAULT_BINS = 10


@dataclass(frozen=True)
class ReliabilityBins:
    """What a reliability diagram shows; every array has shape (n_bins,), means
    of empty bins are NaN.
    """

    edges: NDArray[np.float64]  # (n_bins + 1,), from 0 to 1
    count: NDArray[np.int64]
    mean_confidence: NDArray[np.float64]
    mean_correct: NDArray[np.float64]


def checked_answers(
    confidence: ArrayLike, correct: ArrayLike
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Both as float arrays of one shape (n,), values in [0, 1]; confidence keeps its
    float dtype (see Bins above).

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1] (named with its position).
    """
    c, y = np.asarray(confidence), np.asarray(correct)
    if c.ndim != 1 or c.shape != y.shape:
        raise ValueError(
            f"confidence and correct must have one shape (n,), got {c.shape} and {y.shape}"
        )
    c = c if np.issubdtype(c.dtype, np.floating) else c.astype(np.float64)
    y = y.astype(np.float64)
    for name, values in (("confidence", c), ("correct", y)):
        bad = ~((values >= 0) & (values <= 1))  # also true for NaN
        if bad.any():
            raise ValueError(
                f"{name} must lie in [0, 1], got {values[bad][0]} at position {int(bad.argmax())}"
            )
    return c, y


def bin_index(confidence: NDArray[np.floating], n_bins: int) -> NDArray[np.intp]:
    """Index of each confidence's bin, shape (n,), in 0 .. n_bins - 1.

    Args:
        confidence: (n,), checked by `checked_answers`.

    Raises:
        ValueError: n_bins < 1.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    inner_edges = (np.arange(1, n_bins) / n_bins).astype(confidence.dtype)
    return np.searchsorted(inner_edges, confidence, side="right")


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int = DEFAULT_BINS
) -> ReliabilityBins:
    """Counts and means per equal-width bin of confidence, for the diagram and the ECE.

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    c, y = checked_answers(confidence, correct)
    index = bin_index(c, n_bins)
    count = np.bincount(index, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, weights=c, minlength=n_bins) / count
        mean_correct = np.bincount(index, weights=y, minlength=n_bins) / count
    return ReliabilityBins(np.arange(n_bins + 1) / n_bins, count, mean_confidence, mean_correct)


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int = DEFAULT_BINS
) -> float:
    """ECE with equal-width bins, the last one closed; in [0, 1], NaN for n = 0.

    >>> # 2/3 * |0.5 - 0.9| + 1/3 * |0 - 0.2|
    >>> round(expected_calibration_error([0.9, 0.9, 0.2], [1, 0, 0]), 4)
    0.3333

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1]; a bin's accuracy is their mean.

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    c, y = checked_answers(confidence, correct)
    index = bin_index(c, n_bins)
    gap = np.bincount(
        index, weights=y - c, minlength=n_bins
    )  # n_b * (accuracy - confidence) of each bin
    return float(np.abs(gap).sum() / c.size) if c.size else float("nan")


@dataclass(frozen=True)
class BrierDecomposition:
    """brier = reliability - resolution + uncertainty + within_variance - within_covariance,
    all >= 0 but the last.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_variance: float  # of confidence, within the groups; 0 for groups of equal confidence
    within_covariance: float
    """Twice the covariance of confidence and verdict within the groups; likewise."""


def brier_decomposition(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int | None = None
) -> BrierDecomposition:
    """Murphy's decomposition, exact; all NaN for n = 0.

    With few answers a confidence, as when every confidence is distinct, reliability and resolution
    by distinct confidence are both inflated: then group by bins.

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].
        n_bins: groups are bins of equal width; None: groups are the distinct confidences.

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    c, y = checked_answers(confidence, correct)
    if not c.size:
        return BrierDecomposition(*[float("nan")] * 6)
    group = np.unique(c, return_inverse=True)[1] if n_bins is None else bin_index(c, n_bins)
    c = c.astype(np.float64)
    share = np.bincount(group) / c.size
    with np.errstate(invalid="ignore"):
        mean_c, mean_y = (
            np.nan_to_num(np.bincount(group, weights=v) / np.bincount(group)) for v in (c, y)
        )
    rest_c, rest_y = c - mean_c[group], y - mean_y[group]
    return BrierDecomposition(
        brier=float(np.mean((c - y) ** 2)),
        reliability=float(share @ (mean_c - mean_y) ** 2),
        resolution=float(share @ (mean_y - y.mean()) ** 2),
        uncertainty=float(np.var(y)),
        within_variance=float(np.mean(rest_c**2)),
        within_covariance=float(2 * np.mean(rest_c * rest_y)),
    )
