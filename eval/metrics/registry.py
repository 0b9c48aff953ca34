"""Every metric by name: how it is computed, what it estimates, which direction is better.

A new metric is a line in `METRICS`, and one in `NAME_OF` where it has a public function.
"""

from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from eval.metrics import binned, debiased, ranking, scores, smooth
from eval.metrics.ranked import Rows
from reward_fns.calibration import DEFAULT_BINS, expected_calibration_error

Known = tuple[float, float, float]
"""A value and the ends of its interval."""
OwnInterval = Callable[[ArrayLike, ArrayLike, ArrayLike | None, ArrayLike | None], Known]
"""Confidences, verdicts, strata and clusters, each (n,) -> a value with an interval
that is no bootstrap's.
"""


@dataclass(frozen=True)
class Metric:
    """A metric: its function on resamples, in one line what it estimates, and
    which direction is better.

    `own`: its value and interval where a bootstrap's would be wrong; None:
    the percentile bootstrap's.
    """

    rows: Rows
    estimator: str
    lower_is_better: bool
    bins: int | None = None
    needs_confidence: bool = True
    own: OwnInterval | None = None


def _own_ece_debiased(
    confidence: ArrayLike, correct: ArrayLike, strata: ArrayLike | None, clusters: ArrayLike | None
) -> Known:
    law = debiased.calibration((confidence, correct), strata, clusters)
    low, high = law.interval()
    return debiased.root(law.value), debiased.root(low), debiased.root(high)


def _own_refinement(
    confidence: ArrayLike, correct: ArrayLike, strata: ArrayLike | None, clusters: ArrayLike | None
) -> Known:
    law = debiased.refinement((confidence, correct), strata, clusters)
    return law.value, *law.interval()


_WIDTH = f"{DEFAULT_BINS} bins of equal width, the last one closed"
METRICS: dict[str, Metric] = {
    "ece": Metric(binned.ece_rows, _WIDTH, True, DEFAULT_BINS),
    "ece_debiased": Metric(
        debiased.ece_debiased_rows,
        "root of the squared gaps less their variance (Broecker 2012, Kumar et al. 2019), "
        f"{_WIDTH}; its interval inverts a test",
        True,
        DEFAULT_BINS,
        own=_own_ece_debiased,
    ),
    "adaptive_ece": Metric(
        binned.adaptive_ece_rows, f"{DEFAULT_BINS} bins of equal mass", True, DEFAULT_BINS
    ),
    "smooth_ece": Metric(
        smooth.smooth_ece_rows, "reflected Gaussian kernel, own width (Blasiok and Nakkiran)", True
    ),
    "mce": Metric(binned.mce_rows, f"largest gap of {_WIDTH}", True, DEFAULT_BINS),
    "brier": Metric(scores.brier_rows, "mean squared difference", True),
    "refinement": Metric(
        debiased.refinement_rows,
        "Brier score less the squared debiased ECE (not cut off at 0); its interval is analytic",
        True,
        DEFAULT_BINS,
        own=_own_refinement,
    ),
    "nll": Metric(
        scores.nll_rows,
        f"mean, confidences clipped to [{scores.NLL_CLIP}, {1 - scores.NLL_CLIP}]",
        True,
    ),
    "auroc": Metric(
        ranking.auroc_rows, "ties count one half, graded verdicts on both sides", False
    ),
    "auroc_thresholded": Metric(
        ranking.auroc_thresholded_rows,
        f"a verdict of at least {ranking.THRESHOLD} counts as right, any other as "
        "wrong; ties count one half",
        False,
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

NAME_OF: dict[Callable[..., float], str] = {
    expected_calibration_error: "ece",
    debiased.debiased_calibration_error: "ece_debiased",
    binned.adaptive_calibration_error: "adaptive_ece",
    smooth.smooth_ece: "smooth_ece",
    binned.maximum_calibration_error: "mce",
    scores.brier_score: "brier",
    debiased.brier_refinement: "refinement",
    scores.negative_log_likelihood: "nll",
    ranking.auroc: "auroc",
    ranking.auroc_thresholded: "auroc_thresholded",
    ranking.auprc: "auprc",
    ranking.aurc: "aurc",
    ranking.prediction_rejection_ratio: "prr",
    scores.accuracy: "accuracy",
}


def name_of(metric: str | Callable[..., float]) -> str:
    """The name of a metric that is given by it, or by the public function."""
    return metric if isinstance(metric, str) else NAME_OF.get(metric, str(metric))


def find_metric(metric: str | Callable[..., float]) -> Metric:
    """A metric by its name, or by the public function.

    Raises:
        ValueError: there is none.
    """
    if name_of(metric) not in METRICS:
        raise ValueError(f"no metric {name_of(metric)!r}; there are {', '.join(METRICS)}")
    return METRICS[name_of(metric)]
