"""Calibration metrics over arrays of shape (n,): `confidence` is the probability c_i of being
right that was stated, `correct` the verdict y_i, binary for a question with one answer and perhaps
graded in [0, 1] for a description.

Definitions stand in the modules: `binned` (ECE, adaptive ECE, MCE), `reward_fns.calibration` (the
Brier score's decomposition), `debiased` (ECE without the bias of few answers, refinement, the
ECE's floor), `smooth` (smooth ECE), `scores` (Brier, NLL, accuracy), `ranking` (AUROC, AUPRC, AURC,
PRR), `claims` (the tags), `resampling` (which answers are drawn), `bootstrap` (intervals and paired
differences), `registry` (every metric by name), `estimates` (values with intervals, by name).
Undefined values (n = 0; AUROC with one class) are NaN, never 0.
"""

from eval.metrics.binned import (
    adaptive_calibration_error,
    maximum_calibration_error,
)
from eval.metrics.bootstrap import Difference
from eval.metrics.debiased import brier_refinement, debiased_calibration_error, ece_floor
from eval.metrics.estimates import (
    Estimate,
    bootstrap_interval,
    estimate_all,
    estimate_value,
    paired_bootstrap_difference,
    paired_bootstrap_differences,
)
from eval.metrics.ranking import auprc, aurc, auroc, auroc_thresholded, prediction_rejection_ratio
from eval.metrics.registry import METRICS, Metric
from eval.metrics.scores import accuracy, brier_score, negative_log_likelihood
from eval.metrics.smooth import smooth_ece
from reward_fns.calibration import (
    DEFAULT_BINS,
    BrierDecomposition,
    ReliabilityBins,
    brier_decomposition,
    expected_calibration_error,
    reliability_bins,
)

__all__ = [
    "DEFAULT_BINS",
    "METRICS",
    "BrierDecomposition",
    "Difference",
    "Estimate",
    "Metric",
    "ReliabilityBins",
    "accuracy",
    "adaptive_calibration_error",
    "auprc",
    "aurc",
    "auroc",
    "auroc_thresholded",
    "bootstrap_interval",
    "brier_decomposition",
    "brier_refinement",
    "brier_score",
    "debiased_calibration_error",
    "ece_floor",
    "estimate_all",
    "estimate_value",
    "expected_calibration_error",
    "maximum_calibration_error",
    "negative_log_likelihood",
    "paired_bootstrap_difference",
    "paired_bootstrap_differences",
    "prediction_rejection_ratio",
    "reliability_bins",
    "smooth_ece",
]
