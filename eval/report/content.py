"""What a report holds: one frozen object for everything that is shown, and its one
written form, report.json.

models   model -> protocol -> dataset or "pooled" -> values (`summarise.summarise`)
slices   model -> protocol -> dimension other than "dataset"
         (`slices.DIMENSIONS`) -> slice -> values
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eval.comparison import Comparison
from eval.metrics.claims import ClaimCalibration
from eval.numbers.summarise import ESTIMATOR, PAPER_VERBAL_RATIOS
from eval.numbers.training_curves import Curves
from eval.numbers.values import EceRatios, Models, Ratios, Slices, SliceValues


@dataclass(frozen=True)
class Provenance:
    """What the numbers were made from and with.

    Attributes:
        versions: package -> version, None where it is not installed.
        seed: of the run; None if it is unknown, or the record files have several.
        command: as the user typed it.
        config: settings of the run, {} if none were given.
        records: settings file -> its content, of each record file that has one.
    """

    versions: Mapping[str, str | None]
    seed: int | None
    command: str
    config: Mapping[str, Any]
    records: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Warnings:
    """What to know before any number, a sentence each.

    Attributes:
        asked_differently: models that were not asked alike.
        left_out: answers that the judge never took (`--coverage`).
        cut_off: models many of whose answers were cut off.
        merged_by_sc: what SC's rule merged.
    """

    asked_differently: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    cut_off: tuple[str, ...] = ()
    merged_by_sc: tuple[str, ...] = ()

    def all(self) -> list[str]:
        """All of them, in the order in which they are shown."""
        return [*self.asked_differently, *self.left_out, *self.cut_off, *self.merged_by_sc]


@dataclass(frozen=True)
class Report:
    """Every number of a report.

    Attributes:
        models, slices: see the module's text.
        claims: model -> calibration of its tags (`summarise.summarise_claims`).
        ece_ratios: protocol -> model -> `summarise.ece_ratios`.
        comparisons: of each pair of models by each protocol and metric.
        training: model -> curves of its GRPO run; {} without.
        stage_seconds: stage -> wall time; {} if unknown.
    """

    models: Models
    slices: Slices
    claims: Mapping[str, ClaimCalibration]
    ece_ratios: Ratios
    comparisons: tuple[Comparison, ...]
    made: Provenance
    warnings: Warnings
    training: Mapping[str, Curves]
    stage_seconds: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """The content of report.json; NaN is still NaN (`files.write_json` writes null)."""
        return {
            "models": _written(self.models),
            "slices": _written(self.slices),
            "claims": {model: _claims(found) for model, found in self.claims.items()},
            "ece_ratios": _written(self.ece_ratios),
            "paper": {"verbal_ece_ratios": PAPER_VERBAL_RATIOS},
            "estimator": ESTIMATOR,
            "versions": self.made.versions,
            "seed": self.made.seed,
            "command": self.made.command,
            "config": self.made.config,
            "records": self.made.records,
            "asked_differently": list(self.warnings.asked_differently),
            "left_out": list(self.warnings.left_out),
            "cut_off": list(self.warnings.cut_off),
            "merged_by_sc": list(self.warnings.merged_by_sc),
            "training": self.training,
            "stage_seconds": self.stage_seconds,
            "comparisons": [_comparison(comparison) for comparison in self.comparisons],
        }


def _written(values: Any) -> Any:
    """Nested mappings whose leaves are `SliceValues` or `EceRatios`, as JSON has them."""
    if isinstance(values, SliceValues | EceRatios):
        return values.as_json()
    return {name: _written(part) for name, part in values.items()}


def _claims(claims: ClaimCalibration) -> dict[str, Any]:
    written: dict[str, Any] = {
        "n_answers": claims.n_answers,
        "n_claims": claims.n_claims,
        "n_sure": claims.n_sure,
    }
    for name, found in claims.estimates.items():
        written |= {name: found.value, f"{name}_interval": [found.low, found.high]}
    return written


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "protocol": comparison.protocol,
        "metric": comparison.metric,
        "a": comparison.a,
        "b": comparison.b,
        "n": comparison.n,
        "difference": comparison.difference.value,
        "difference_interval": list(comparison.difference[1:]),
        "verdict": comparison.verdict,
        "p_value": comparison.p_value,
        "p_holm": comparison.p_adjusted,
        "family": comparison.family,
    }
