"""Percentile bootstrap: intervals for a metric, and for the difference of two
models on the same questions.

What a resample holds says `resampling`; the metric is computed exactly on each (`ranked`).

An interval shows sampling error only. An ECE is never negative and biased upwards for small n, and
so is its interval. Resamples on which the metric is undefined (one class) are left out
(`scipy.stats.bootstrap`, without strata, gives NaN as soon as one resample is undefined).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.ranked import Floats, Rows, rank
from eval.metrics.resampling import about, resampled_bags
from reward_fns.calibration import checked_answers

LEVEL = 0.95
N_RESAMPLES = 1000
_ROUNDING = 1e-12  # of values in [0, 1]


@dataclass(frozen=True)
class Difference:
    """Metric of a minus metric of b on the same questions, with its interval.

    `p_value`: two-sided, twice the smaller share of resamples on either side of 0 (at least
    2 / number of resamples). `p_smooth`: without that floor, which an adjustment for a hundred
    pairs could not get below 0.05: of a normal law with the bootstrap's standard error, or of the
    law that the metric has of its own (`debiased`).
    NaN where the metric is undefined for one of the two.
    """

    value: float
    low: float
    high: float
    p_value: float
    p_smooth: float = float("nan")


def bootstrap_rows(
    metrics: Mapping[str, Rows],
    confidence: ArrayLike,
    correct: ArrayLike,
    strata: ArrayLike | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> dict[str, Floats]:
    """Values of several metrics on the same resamples, each (n_resamples,), NaN where
    undefined; n must be over 0.
    """
    c, y = checked_answers(confidence, correct)
    bags = resampled_bags([c, y], strata, clusters, n_resamples, seed)
    values: dict[str, list[Floats]] = {name: [] for name in metrics}
    for bag in bags:
        answers = rank(c[bag.rows], y[bag.rows])
        drawn: dict[str, list[Floats]] = {name: [] for name in metrics}
        for counts in bag.weights:
            weights = answers.weights(counts)
            for name, rows in metrics.items():
                drawn[name].append(rows(answers, weights))
        for name, parts in drawn.items():
            values[name].append(np.concatenate(parts) if parts else np.zeros(0))
    whole = estimates_of(metrics, c, y) if len(bags) > 1 else dict.fromkeys(metrics, np.nan)
    return {name: about(whole[name], parts) for name, parts in values.items()}


def estimates_of(
    metrics: Mapping[str, Rows], confidence: ArrayLike, correct: ArrayLike
) -> dict[str, float]:
    """Values of several metrics on the answers themselves, which are sorted once; NaN for n = 0."""
    answers = rank(confidence, correct)
    if not answers.correct.size:
        return dict.fromkeys(metrics, float("nan"))
    once = np.ones((1, answers.correct.size))
    return {name: float(rows(answers, once)[0]) for name, rows in metrics.items()}


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
    """Differences of two models that answered the same questions, of several
    metrics on the same resamples.

    Args:
        a, b: (confidence, correct) of each model, all (n,), position i of all four is the same
            question; a question is drawn with all its answers.

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    (ca, ya), (cb, yb) = checked_answers(*a), checked_answers(*b)
    if ca.shape != cb.shape:
        raise ValueError(f"a and b must answer the same questions, got {ca.size} and {cb.size}")
    if not ca.size:
        return dict.fromkeys(metrics, _UNDEFINED)
    whole_a, whole_b = estimates_of(metrics, ca, ya), estimates_of(metrics, cb, yb)
    here = {name: whole_a[name] - whole_b[name] for name in metrics}
    values: dict[str, list[Floats]] = {name: [] for name in metrics}
    for bag in resampled_bags([ca, ya, cb, yb], strata, clusters, n_resamples, seed):
        first, second = rank(ca[bag.rows], ya[bag.rows]), rank(cb[bag.rows], yb[bag.rows])
        drawn: dict[str, list[Floats]] = {name: [] for name in metrics}
        for counts in bag.weights:
            of_a, of_b = first.weights(counts), second.weights(counts)
            for name, rows in metrics.items():
                drawn[name].append(rows(first, of_a) - rows(second, of_b))
        for name, parts in drawn.items():
            values[name].append(np.concatenate(parts) if parts else np.zeros(0))
    return {
        name: difference_of(here[name], about(here[name], parts)) for name, parts in values.items()
    }


_UNDEFINED = Difference(*[float("nan")] * 5)


def difference_of(value: float, resampled: Floats) -> Difference:
    """A difference with what resamples, of both models together, make of it;
    all NaN if the value is.
    """
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
