"""Every metric by name, and its estimate on answers: value, interval, n, parse failures, and why it is undefined."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics import binned, ranking, scores, smooth
from eval.metrics.bootstrap import (
    N_RESAMPLES,
    Difference,
    bootstrap_rows,
    paired_difference,
    percentile_interval,
)
from eval.metrics.ranked import Rows, estimate
from reward_fns.calibration import DEFAULT_BINS, expected_calibration_error

PARSE_FAILURE_POLICY = (
    "answers whose confidence cannot be read are counted, left out of all metrics but accuracy"
)
INTERVAL = (
    f"95 % percentile bootstrap over questions, stratified by dataset, {N_RESAMPLES:,} resamples"
)


@dataclass(frozen=True)
class Metric:
    """A metric: its function on resamples, in one line what it estimates, and which direction is better."""

    rows: Rows
    estimator: str
    lower_is_better: bool
    bins: int | None = None
    needs_confidence: bool = True


_WIDTH = f"{DEFAULT_BINS} bins of equal width, the last one closed"
METRICS: dict[str, Metric] = {
    "ece": Metric(binned.ece_rows, _WIDTH, True, DEFAULT_BINS),
    "adaptive_ece": Metric(
        binned.adaptive_ece_rows, f"{DEFAULT_BINS} bins of equal mass", True, DEFAULT_BINS
    ),
    "smooth_ece": Metric(
        smooth.smooth_ece_rows, "reflected Gaussian kernel, own width (Blasiok and Nakkiran)", True
    ),
    "mce": Metric(binned.mce_rows, f"largest gap of {_WIDTH}", True, DEFAULT_BINS),
    "brier": Metric(scores.brier_rows, "mean squared difference", True),
    "nll": Metric(
        scores.nll_rows,
        f"mean, confidences clipped to [{scores.NLL_CLIP}, {1 - scores.NLL_CLIP}]",
        True,
    ),
    "auroc": Metric(
        ranking.auroc_rows, "ties count one half, graded verdicts on both sides", False
    ),
    "auprc": Metric(ranking.auprc_rows, "average precision, ties together", False),
    "aurc": Metric(ranking.aurc_rows, "mean selective risk, ties in random order", True),
    "prr": Metric(
        ranking.prr_rows, "AURC between that of a random and that of the best order", False
    ),
    "accuracy": Metric(
        scores.accuracy_rows, "mean verdict of all answers", False, needs_confidence=False
    ),
}

_NAME_OF: dict[Callable[..., float], str] = {
    expected_calibration_error: "ece",
    binned.adaptive_calibration_error: "adaptive_ece",
    smooth.smooth_ece: "smooth_ece",
    binned.maximum_calibration_error: "mce",
    scores.brier_score: "brier",
    scores.negative_log_likelihood: "nll",
    ranking.auroc: "auroc",
    ranking.auprc: "auprc",
    ranking.aurc: "aurc",
    ranking.prediction_rejection_ratio: "prr",
    scores.accuracy: "accuracy",
}


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


def _metric(metric: str | Callable[..., float]) -> Metric:
    name = metric if isinstance(metric, str) else _NAME_OF.get(metric, str(metric))
    if name not in METRICS:
        raise ValueError(f"no metric {name!r}; there are {', '.join(METRICS)}")
    return METRICS[name]


def bootstrap_interval(
    metric: str | Callable[..., float],
    confidence: ArrayLike,
    correct: ArrayLike,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap interval of 95 % for a metric with its default bins; see `bootstrap`.

    Args:
        metric: a name of `METRICS`, or the public function.
        confidence, correct: (n,), in [0, 1].
        strata: (n,) labels, resampled apart; None: one stratum.

    Raises:
        ValueError: an unknown metric, or what the metric itself refuses.
    """
    rows = _metric(metric).rows
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
    """Metric of a minus metric of b, with interval and p-value; all arrays (n,), position i is the same question.

    Args:
        strata, clusters: see `estimate_all`.

    Raises:
        ValueError: an unknown metric, shapes differ, or a value is NaN or outside [0, 1].
    """
    rows = _metric(metric).rows
    return paired_difference(
        rows,
        (confidence_a, correct_a),
        (confidence_b, correct_b),
        strata,
        n_resamples,
        seed,
        clusters,
    )


def estimate_all(
    confidence: Sequence[float | None],
    correct: ArrayLike,
    strata: ArrayLike | None = None,
    metrics: Iterable[str] = tuple(METRICS),
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> dict[str, Estimate]:
    """Estimates of several metrics on the same answers and the same resamples.

    Args:
        confidence: (n,), None where it could not be read.
        correct: (n,), verdicts in [0, 1].
        strata: (n,) dataset of each answer; None: one stratum.
        clusters: (n,) question of each answer, drawn with all its answers; None: each answer is a question's only one.

    Raises:
        ValueError: an unknown metric, shapes differ, a value is NaN or outside [0, 1], or a question lies in two
            strata.
    """
    y = np.asarray(correct, dtype=np.float64)
    known = np.array([c is not None for c in confidence], dtype=bool)
    if y.shape != known.shape:
        raise ValueError(
            f"confidence and correct must have one shape (n,), got {known.shape} and {y.shape}"
        )
    c = np.array([0.0 if value is None else value for value in confidence], dtype=np.float64)
    labels = np.zeros(y.size, dtype=np.intp) if strata is None else np.asarray(strata)
    groups = np.arange(y.size) if clusters is None else np.asarray(clusters)
    result: dict[str, Estimate] = {}
    chosen = {name: _metric(name) for name in metrics}
    for needs in (True, False):
        part = {
            name: metric.rows for name, metric in chosen.items() if metric.needs_confidence is needs
        }
        use = known if needs else np.ones(y.size, dtype=bool)
        values = {name: estimate(rows, c[use], y[use]) for name, rows in part.items()}
        defined = {name: part[name] for name, value in values.items() if not np.isnan(value)}
        resampled = (
            bootstrap_rows(defined, c[use], y[use], labels[use], n_resamples, seed, groups[use])
            if defined
            else {}
        )
        for name, value in values.items():
            low, high = (
                percentile_interval(resampled[name])
                if name in resampled
                else (float("nan"), float("nan"))
            )
            metric = chosen[name]
            failures = int(y.size - known.sum())
            reason = _reason(int(y.size), y[use]) if np.isnan(value) else ""
            result[name] = Estimate(
                name, value, low, high, int(y.size), failures, metric.bins, metric.estimator, reason
            )
    return {name: result[name] for name in chosen}


def _reason(n: int, correct: np.ndarray) -> str:
    """Why a metric is undefined."""
    if n == 0:
        return "no answers"
    if correct.size == 0:
        return "no answer states a confidence that can be read"
    if np.all(correct == 1):
        return "all answers are right: one class"
    if np.all(correct == 0):
        return "all answers are wrong: one class"
    return "all verdicts are equal"
