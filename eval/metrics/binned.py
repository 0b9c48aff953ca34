"""Calibration errors from bins, and Murphy's decomposition of the Brier score.

With n_b answers in bin b, mean confidence conf_b and mean verdict acc_b:

    ECE           = sum_b (n_b / n) * |acc_b - conf_b|
                    bins of equal width, see `reward_fns.calibration`
    MCE           = max_b |acc_b - conf_b|
                    the same bins, those that are not empty; Naeini et al. 2015
    adaptive ECE  = sum_k (1 / n) * |D((k+1) n / B) - D(k n / B)|
                    B bins of equal mass; Nguyen and O'Connor 2015

D(u) is the sum of (verdict - confidence) over the u least confident answers, linear in between. A
bin border inside a run of equal confidences cuts the run in proportion, every piece with the run's
mean verdict: so neither the order of the answers nor n modulo B matters. Where n is a multiple of
B and no run is cut, this is the usual definition.

    Brier = mean((c - y)^2) = reliability - resolution + uncertainty (+ within-bin terms)
    reliability = sum_k n_k/n (conf_k - acc_k)^2
    resolution = sum_k n_k/n (acc_k - acc)^2
    uncertainty = var(y)                                                        Murphy 1973

Grouped by distinct confidence this is exact. Grouped by bins of equal width, two more terms make
it exact (Stephenson et al. 2008): + var(c within bins) - 2 cov(c, y within bins). var(y) is acc
(1 - acc) for binary verdicts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.ranked import Floats, Ranked, divide, estimate
from reward_fns.calibration import DEFAULT_BINS, bin_index, checked_answers


def _bin_sums(answers: Ranked, weights: Floats, values: Floats, n_bins: int) -> Floats:
    """Weighted sums of values (m,) by bin: (rows, n_bins)."""
    member = np.zeros((values.size, n_bins))
    member[np.arange(values.size), bin_index(answers.confidence, n_bins)] = values
    return weights @ member


def ece_rows(answers: Ranked, weights: Floats, n_bins: int = DEFAULT_BINS) -> Floats:
    """ECE of each resample."""
    gap = _bin_sums(answers, weights, answers.correct - answers.confidence, n_bins)
    return divide(np.abs(gap).sum(axis=1), weights.sum(axis=1))


def mce_rows(answers: Ranked, weights: Floats, n_bins: int = DEFAULT_BINS) -> Floats:
    """MCE of each resample."""
    gap = _bin_sums(answers, weights, answers.correct - answers.confidence, n_bins)
    count = _bin_sums(answers, weights, np.ones(answers.correct.size), n_bins)
    largest = np.where(count > 0, np.abs(divide(gap, count)), -1.0).max(axis=1)
    return np.where(largest < 0, np.nan, largest)


def adaptive_ece_rows(answers: Ranked, weights: Floats, n_bins: int = DEFAULT_BINS) -> Floats:
    """Adaptive ECE of each resample."""
    zero = np.zeros((weights.shape[0], 1))
    mass = np.hstack([zero, answers.by_confidence(weights).cumsum(axis=1)])
    gap = np.hstack(
        [
            zero,
            answers.by_confidence(weights * (answers.correct - answers.confidence)).cumsum(axis=1),
        ]
    )
    at = np.linspace(0, 1, n_bins + 1)
    cut = np.stack([np.interp(at * m[-1], m, g) for m, g in zip(mass, gap, strict=True)])
    return divide(np.abs(np.diff(cut, axis=1)).sum(axis=1), mass[:, -1])


def maximum_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int = DEFAULT_BINS
) -> float:
    """MCE with bins of equal width, in [0, 1]; NaN for n = 0. A bin of one answer
    counts as much as any other.

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    return estimate(lambda a, w: mce_rows(a, w, n_bins), confidence, correct)


def adaptive_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int = DEFAULT_BINS
) -> float:
    """ECE with bins of equal mass, in [0, 1]; NaN for n = 0.

    >>> # (|0 - 0.3| + |2 - 1.7|) / 4
    >>> adaptive_calibration_error([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], n_bins=2)
    0.15

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    return estimate(lambda a, w: adaptive_ece_rows(a, w, n_bins), confidence, correct)


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
    within_covariance: (
        float  # twice the covariance of confidence and verdict within the groups; likewise
    )


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
