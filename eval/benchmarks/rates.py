"""Rates with 95 % intervals: what every benchmark reports.

    share   hits / n of independent yes-or-no outcomes
            Wilson's interval, never empty at 0 or n hits
    ratio   sum_i a_i / sum_i b_i over responses i
            percentile bootstrap over responses, or over clusters

Precision, recall, F1 = 2 TP / (2 TP + FP + FN), means (b_i = 1) and rates over mentions are ratios
of sums. Undefined values (nothing to divide by) are NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.bootstrap import LEVEL, N_RESAMPLES, percentile_interval
from eval.metrics.ranked import divide
from eval.metrics.resampling import about, resampled_bags
from eval.numbers.values import Interval


@dataclass(frozen=True)
class Rate:
    """numerator / denominator with its interval; all of value, low and high NaN where
    the denominator is 0.
    """

    numerator: float
    denominator: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The rate; NaN if undefined."""
        return self.numerator / self.denominator if self.denominator else math.nan

    @property
    def cell(self) -> Interval | None:
        """As a table shows it; None if undefined."""
        return Interval(self.value, self.low, self.high) if self.denominator else None


UNDEFINED = Rate(0, 0, math.nan, math.nan)


def share(hits: Sequence[bool]) -> Rate:
    """Share of the outcomes that are true, with Wilson's interval.

    >>> share([True, False]).value
    0.5
    """
    if not hits:
        return UNDEFINED
    from scipy.stats import binomtest

    found = binomtest(sum(hits), len(hits)).proportion_ci(LEVEL, "wilson")
    return Rate(sum(hits), len(hits), float(found.low), float(found.high))


def ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
) -> Rate:
    """Ratio of two sums over responses.

    Args:
        numerators, denominators: (n,), of each response, at least 0.
        clusters: (n,), responses with the same name are resampled together
            (questions about one image).
    """
    a, b = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if not b.sum():
        return UNDEFINED
    resampled = []
    for bag in resampled_bags([a, b], None, clusters, N_RESAMPLES, seed):
        drawn = [divide(weights @ a[bag.rows], weights @ b[bag.rows]) for weights in bag.weights]
        resampled.append(np.concatenate(drawn))
    value = float(a.sum() / b.sum())
    return Rate(float(a.sum()), float(b.sum()), *percentile_interval(about(value, resampled)))


def mean(values: ArrayLike, seed: int = 0) -> Rate:
    """Mean of one value a response."""
    numbers = np.asarray(values, dtype=np.float64)
    return ratio(numbers, np.ones(numbers.size), seed=seed)
