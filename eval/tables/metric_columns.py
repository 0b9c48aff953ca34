"""What the tables of metrics share: titles and arrows, cells, the order of protocols,
the notes on estimators.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from eval import metrics
from eval.numbers.summarise import ESTIMATOR
from eval.numbers.values import Interval, SliceValues
from eval.tables.table import FEWEST_ANSWERS, Column, tabulated

ESTIMATOR_NOTES = (
    f"ECE: {ESTIMATOR['ece']}. AUROC: {ESTIMATOR['auroc']}. Brackets: {ESTIMATOR['intervals']}; "
    "they show sampling error only, and an ECE is biased upwards where answers are few.",
    f"Debiased ECE: {ESTIMATOR['ece_debiased']}. ECE floor: {ESTIMATOR['ece_floor']}.",
    f"Parse failures: {ESTIMATOR['parse_failures']}.",
    f"Cells of fewer than {FEWEST_ANSWERS} answers that can be read are left empty.",
)
TITLES = {
    "ece": "ECE",
    "ece_debiased": "debiased ECE",
    "adaptive_ece": "adaptive ECE",
    "smooth_ece": "smooth ECE",
    "mce": "MCE",
    "brier": "Brier",
    "refinement": "refinement",
    "nll": "NLL",
    "auroc": "AUROC",
    "auroc_thresholded": "AUROC, verdicts cut at 0.5",
    "auprc": "AUPRC",
    "aurc": "AURC",
    "prr": "PRR",
    "accuracy": "accuracy",
}
"""Metric -> its name in tables."""


def metric_column(metric: str) -> Column:
    """A metric's column, with the arrow of its better direction."""
    return Column(
        TITLES[metric], better="low" if metrics.METRICS[metric].lower_is_better else "high"
    )


def metric_cells(cell: SliceValues | None, names: Sequence[str]) -> list[Interval | None]:
    """Some metrics of a cell, each as `tabulated`."""
    return [tabulated(cell, name) for name in names]


def protocols_of(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Protocols of all models, in the order they stand in (the paper's)."""
    return list(dict.fromkeys(protocol for protocols in models.values() for protocol in protocols))
