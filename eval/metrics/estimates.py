"""Estimates of metrics on answers: value, interval, n, parse failures, and why it is undefined."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics import debiased, ranking
from eval.metrics.bootstrap import (
    N_RESAMPLES,
    Difference,
    bootstrap_rows,
    estimates_of,
    paired_differences,
    percentile_interval,
)
from eval.metrics.ranked import estimate
from eval.metrics.registry import METRICS, Known, Metric, find_metric, name_of

PARSE_FAILURE_POLICY = (
    "answers whose confidence cannot be read are counted, left out of all metrics but accuracy"
)
INTERVAL = (
    f"95 % percentile bootstrap over questions, stratified by dataset, {N_RESAMPLES:,} resamples"
)


@dataclass(frozen=True)
class Estimate:
    """A metric on some answers.

    Attributes:
        n: all answers; parse_failures: those among them without a readable confidence.
        value, low, high: NaN where undefined; `reason` says why, else it is "".
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    parse_failures: int
    bins: int | None
    estimator: str
    reason: str


def estimate_value(
    metric: str, confidence: ArrayLike, correct: ArrayLike, clusters: ArrayLike | None = None
) -> float:
    """A metric's value as `estimate_all` gives it, without its interval; NaN where undefined.

    Args:
        metric: a name of `METRICS`.
        confidence, correct: (n,), in [0, 1].
        clusters: (n,) question of each answer; they count for `ece_debiased` and `refinement`.

    Raises:
        ValueError: an unknown metric, or what the metric itself refuses.
    """
    chosen = find_metric(metric)
    if chosen.own is not None:
        return chosen.own(confidence, correct, None, clusters)[0]
    return estimate(chosen.rows, confidence, correct)


def bootstrap_interval(
    metric: str | Callable[..., float],
    confidence: ArrayLike,
    correct: ArrayLike,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> tuple[float, float]:
    """Interval of 95 % for a metric with its default bins: percentile bootstrap (see
    `bootstrap`), or the metric's own.

    Args:
        metric: a name of `METRICS`, or the public function.
        confidence, correct: (n,), in [0, 1].
        strata: (n,) labels, resampled apart; None: one stratum.

    Raises:
        ValueError: an unknown metric, or what the metric itself refuses.
    """
    chosen = find_metric(metric)
    if chosen.own is not None:
        return chosen.own(confidence, correct, strata, None)[1:]
    rows = chosen.rows
    if np.isnan(estimate(rows, confidence, correct)):
        return float("nan"), float("nan")
    return percentile_interval(
        bootstrap_rows({"": rows}, confidence, correct, strata, n_resamples, seed)[""]
    )


def paired_bootstrap_difference(
    metric: str | Callable[..., float],
    confidence_a: ArrayLike,
    correct_a: ArrayLike,
    confidence_b: ArrayLike,
    correct_b: ArrayLike,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> Difference:
    """Metric of a minus metric of b, with interval and p-values; all arrays (n,),
    position i is the same question.

    Args:
        metric: a name of `METRICS`, or the public function; for `ece_debiased` and `refinement`
            the interval and both p-values are those of their own law (`debiased`), no bootstrap's.
        strata, clusters: see `estimate_all`.

    Raises:
        ValueError: an unknown metric, shapes differ, or a value is NaN or outside [0, 1].
    """
    name = name_of(metric)
    a, b = (confidence_a, correct_a), (confidence_b, correct_b)
    return paired_bootstrap_differences([name], a, b, n_resamples, seed, strata, clusters)[name]


def paired_bootstrap_differences(
    metrics: Iterable[str],
    a: debiased.Answers,
    b: debiased.Answers,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> dict[str, Difference]:
    """`paired_bootstrap_difference` of several metrics by name, on the same resamples."""
    chosen = {name: find_metric(name) for name in metrics}
    part = {name: metric.rows for name, metric in chosen.items() if metric.own is None}
    found = paired_differences(part, a, b, strata, n_resamples, seed, clusters) if part else {}
    if len(part) < len(chosen):
        laws = debiased.paired_laws(a, b, strata, clusters)
        p_calibration, p_refinement = laws.calibration.p_value(), laws.refinement.p_value()
        found["ece_debiased"] = Difference(*laws.rooted(), p_calibration, p_calibration)
        found["refinement"] = Difference(
            laws.refinement.value, *laws.refinement.interval(), p_refinement, p_refinement
        )
    return {name: found[name] for name in chosen}


def estimate_all(
    confidence: Sequence[float | None] | NDArray[np.float64],
    correct: ArrayLike,
    strata: ArrayLike | None = None,
    metrics: Iterable[str] = tuple(METRICS),
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> dict[str, Estimate]:
    """Estimates of several metrics on the same answers and the same resamples.

    Args:
        confidence: (n,), None where it could not be read; NaN there in an array.
        correct: (n,), verdicts in [0, 1].
        strata: (n,) dataset of each answer; None: one stratum.
        clusters: (n,) question of each answer, drawn with all its answers; None: each answer
            is a question's only one.

    Raises:
        ValueError: an unknown metric, shapes differ, a value is NaN or outside [0, 1], or a
            question lies in two strata.
    """
    y = np.asarray(correct, dtype=np.float64)
    if isinstance(confidence, np.ndarray):
        known = ~np.isnan(confidence)
    else:
        known = np.array([value is not None for value in confidence], dtype=bool)
    if y.shape != known.shape:
        raise ValueError(
            f"confidence and correct must have one shape (n,), got {known.shape} and {y.shape}"
        )
    c = np.where(known, np.asarray(confidence, dtype=np.float64), 0.0)
    labels = np.zeros(y.size, dtype=np.intp) if strata is None else np.asarray(strata)
    groups = np.arange(y.size) if clusters is None else np.asarray(clusters)
    result: dict[str, Estimate] = {}
    chosen = {name: find_metric(name) for name in metrics}
    for needs in (True, False):
        part = {name: metric for name, metric in chosen.items() if metric.needs_confidence is needs}
        use = known if needs else np.ones(y.size, dtype=bool)
        found = _with_intervals(part, c[use], y[use], labels[use], groups[use], n_resamples, seed)
        for name, (value, low, high) in found.items():
            metric = chosen[name]
            failures = int(y.size - known.sum())
            reason = _reason(int(y.size), y[use], name) if np.isnan(value) else ""
            result[name] = Estimate(
                name, value, low, high, int(y.size), failures, metric.bins, metric.estimator, reason
            )
    return {name: result[name] for name in chosen}


def _with_intervals(
    metrics: Mapping[str, Metric],
    confidence: NDArray[np.float64],
    correct: NDArray[np.float64],
    strata: NDArray[Any],
    clusters: NDArray[Any],
    n_resamples: int,
    seed: int,
) -> dict[str, Known]:
    """Values with their intervals; NaN where undefined."""
    nothing = float("nan")
    found: dict[str, Known] = {}
    bootstrapped = {name: metric.rows for name, metric in metrics.items() if metric.own is None}
    for name, value in estimates_of(bootstrapped, confidence, correct).items():
        found[name] = (value, nothing, nothing)
    for name, metric in metrics.items():
        if metric.own is not None:
            found[name] = metric.own(confidence, correct, strata, clusters)
    drawn = {name: rows for name, rows in bootstrapped.items() if not np.isnan(found[name][0])}
    if drawn:
        resampled = bootstrap_rows(drawn, confidence, correct, strata, n_resamples, seed, clusters)
        for name, values in resampled.items():
            found[name] = (found[name][0], *percentile_interval(values))
    return found


def _reason(n: int, correct: np.ndarray, metric: str) -> str:
    """Why a metric is undefined."""
    if n == 0:
        return "no answers"
    if correct.size == 0:
        return "no answer states a confidence that can be read"
    if metric in ("ece_debiased", "refinement"):
        return "no bin holds two questions"
    if metric == "auroc_thresholded":
        return f"all verdicts lie on one side of {ranking.THRESHOLD}: one class"
    if np.all(correct == 1):
        return "all answers are right: one class"
    if np.all(correct == 0):
        return "all answers are wrong: one class"
    return "all verdicts are equal"
