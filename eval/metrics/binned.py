"""Calibration errors from bins.

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
"""

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.ranked import Floats, Ranked, divide, estimate
from reward_fns.calibration import DEFAULT_BINS, bin_index


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
