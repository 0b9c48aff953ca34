"""Correlations with 95 % intervals: do rarer entities go with more contradiction?

    by dataset    Pearson's r between AvgEntityRarity (Eq. 2), or RarityScore (Eq. 3), and the
                  percentage of contradictions; interval by Fisher's z, two-sided p (scipy)
    by question   of the labelled questions with entities: ln(entity_rarity) against
                  contradiction (1) or not (0)
        pooled    Pearson's r, here the point-biserial one
        ranked    Spearman's rho; interval by z +- 1.96 sqrt((1 + rho^2 / 2) / (n - 3))
                  (Bonett and Wright 2000)
        within    both centred on their dataset's mean, so that differences between datasets play
                  no part: the partial correlation given the k datasets, with n - k - 1 degrees of
                  freedom and z +- 1.96 / sqrt(n - k - 2)

The logarithm makes the size of a dataset, which multiplies all its counts, a constant that
`within` takes away; by dataset nothing does, so datasets of very different sizes compare badly
there. A negative r is what the paper says: lower frequency (rarer entities), more contradiction.
With fewer than four points, or a side that does not vary, there is no r but a reason.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Z = 1.959963984540054  # the normal law's 97.5 % point
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """r with its interval [low, high] and two-sided p over n points; all None
    where `reason` says why.
    """

    n: int
    r: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reason: str | None = None

    def __str__(self) -> str:
        if self.r is None:
            return f"{self.reason} (n = {self.n})"
        return f"r = {self.r:.3f} [{self.low:.3f}, {self.high:.3f}], p = {self.p:.2g}, n = {self.n}"

    @property
    def finding(self) -> str:
        """In words, for a first side where low values mean rare entities."""
        if self.low is None or self.high is None:
            return "cannot be said"
        if self.high < 0:
            return "yes: rarer entities go with more contradiction"
        if self.low > 0:
            return "no: rarer entities go with less contradiction"
        return "not decided: the interval holds 0"


def pearson(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Pearson's r of two equally long sides."""
    return _unusable(x, y) or _pearson(np.asarray(x, dtype=float), np.asarray(y, dtype=float))


def spearman(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Spearman's rho of two equally long sides."""
    if unusable := _unusable(x, y):
        return unusable
    from scipy import stats

    rho, p = stats.spearmanr(x, y)
    low, high = _interval(float(rho), math.sqrt((1 + rho * rho / 2) / (len(x) - 3)))
    return Correlation(len(x), float(rho), low, high, float(p))


def within(x: Sequence[float], y: Sequence[float], groups: Sequence[int]) -> Correlation:
    """The partial correlation of x and y given their group.

    Args:
        groups: number of the group of each point, from 0 on.
    """
    labels = np.asarray(groups, dtype=np.int64)
    n, k = len(labels), len(np.unique(labels))
    if n - k - 2 < 1:
        return Correlation(n, reason="too few points")
    centred = [_centred(np.asarray(side, dtype=float), labels) for side in (x, y)]
    if unusable := _unusable(*centred):
        return Correlation(n, reason=f"{unusable.reason} within a dataset")
    from scipy import stats

    r = float(
        np.clip(
            centred[0]
            @ centred[1]
            / math.sqrt((centred[0] @ centred[0]) * (centred[1] @ centred[1])),
            -1,
            1,
        )
    )
    freedom = n - k - 1
    t = r * math.sqrt(freedom / (1 - r * r)) if abs(r) < 1 else math.inf
    low, high = _interval(r, 1 / math.sqrt(n - k - 2))
    return Correlation(n, r, low, high, float(2 * stats.t.sf(abs(t), freedom)))


def _pearson(x: Floats, y: Floats) -> Correlation:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        result = stats.pearsonr(x, y)
    interval = result.confidence_interval(0.95)
    return Correlation(
        len(x),
        float(result.statistic),
        float(interval.low),
        float(interval.high),
        float(result.pvalue),
    )


def _unusable(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> Correlation | None:
    if len(x) < 4:
        return Correlation(len(x), reason="too few points")
    for side in (x, y):
        if np.ptp(np.asarray(side, dtype=float)) <= 1e-12:
            return Correlation(len(x), reason="a side does not vary")
    return None


def _centred(side: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    sums, counts = np.bincount(labels, weights=side), np.maximum(np.bincount(labels), 1)
    centred: Floats = side - (sums / counts)[labels]
    return centred


def _interval(r: float, error: float) -> tuple[float, float]:
    if abs(r) >= 1:
        return r, r
    z = math.atanh(r)
    return math.tanh(z - _Z * error), math.tanh(z + _Z * error)
