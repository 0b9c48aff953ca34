"""The values of one cell of a report: one model, one protocol, one slice of the questions."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

_NAN = math.nan


class Interval(NamedTuple):
    """A value with the ends of its 95 % interval; all three NaN where undefined."""

    value: float
    low: float
    high: float


class Measured(NamedTuple):
    """A metric with the ends of its 95 % interval; NaN where undefined, and
    then `reason` says why.
    """

    value: float
    low: float = _NAN
    high: float = _NAN
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class SliceValues:
    """What `summarise` finds; NaN where undefined.

    Attributes:
        n: all answers; parse_failures: those among them without a readable confidence.
        metrics: name -> value and interval, of the readable ones.
        accuracy: mean verdict of all n.
        ece_floor: plain ECE of a perfectly calibrated model with these confidences at this n.
        extreme_share: share of confidences at exactly 0 or 1.
        well_formed: share of all n; mean_claims: a mean over all n.
        truncated: share of the answers that were cut off, of those of which it is known.
        tokens: the most frequent tokens that DP stands on, with their shares; None for a slice.
    """

    n: int
    parse_failures: int = 0
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    accuracy: float = _NAN
    ece_floor: float = _NAN
    mean_confidence: float = _NAN
    extreme_share: float = _NAN
    well_formed: float = _NAN
    mean_claims: float = _NAN
    truncated: float = _NAN
    tokens: Mapping[str, float] | None = None

    @property
    def readable(self) -> int:
        """Answers whose confidence can be read."""
        return self.n - self.parse_failures

    def measured(self, metric: str) -> Measured:
        """A metric; accuracy also where it was not asked for, without an interval; else NaN."""
        unknown = Measured(self.accuracy if metric == "accuracy" else _NAN)
        return self.metrics.get(metric, unknown)

    def value(self, metric: str) -> float:
        """The metric without its interval."""
        return self.measured(metric).value

    def as_json(self) -> dict[str, Any]:
        """As report.json has it: each metric under its name with `<name>_interval` [low, high]."""
        written: dict[str, Any] = {"accuracy": self.accuracy}
        for name, found in self.metrics.items():
            written |= {name: found.value, f"{name}_interval": [found.low, found.high]}
        written |= {
            "ece_floor": self.ece_floor,
            "n": self.n,
            "parse_failures": self.parse_failures,
            "mean_confidence": self.mean_confidence,
            "extreme_share": self.extreme_share,
            "well_formed": self.well_formed,
            "mean_claims": self.mean_claims,
            "truncated": self.truncated,
            "reasons": {name: found.reason for name, found in self.metrics.items() if found.reason},
        }
        return written if self.tokens is None else written | {"tokens": self.tokens}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "SliceValues":
        """What `as_json` wrote, with null for NaN; values that the file lacks are NaN."""
        reasons = written.get("reasons", {})
        metrics = {}
        for key, ends in written.items():
            if key.endswith(_INTERVAL):
                name = key.removesuffix(_INTERVAL)
                value, low, high = (_number(end) for end in (written[name], *ends))
                metrics[name] = Measured(value, low, high, reasons.get(name, ""))
        return cls(
            n=written["n"],
            parse_failures=written["parse_failures"],
            metrics=metrics,
            tokens=written.get("tokens"),
            **{name: _number(written.get(name)) for name in _MEANS},
        )


_INTERVAL = "_interval"
_MEANS = (
    *("accuracy", "ece_floor", "mean_confidence", "extreme_share"),
    *("well_formed", "mean_claims", "truncated"),
)


def _number(written: float | None) -> float:
    return _NAN if written is None else written


@dataclass(frozen=True)
class EceRatios:
    """ECE of a model divided by the base's; NaN where undefined.

    Attributes:
        pooled: of all questions.
        mean_over_datasets: of the means over the datasets.
        mean_over_dataset_subset: of the means over dataset x subset, which is
            what the paper averages.
    """

    pooled: float
    mean_over_datasets: float
    mean_over_dataset_subset: float

    def as_json(self) -> dict[str, float]:
        """As report.json has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: Mapping[str, float | None]) -> "EceRatios":
        """What `as_json` wrote, with null for NaN."""
        return cls(**{name: _number(value) for name, value in written.items()})


BySlice = Mapping[str, SliceValues]
"""Slice -> its values."""
Models = Mapping[str, Mapping[str, BySlice]]
"""model -> protocol -> dataset or "pooled" -> values."""
Slices = Mapping[str, Mapping[str, Mapping[str, BySlice]]]
"""model -> protocol -> dimension other than "dataset" (`slices.DIMENSIONS`) -> slice -> values."""
Ratios = Mapping[str, Mapping[str, EceRatios]]
"""protocol -> model -> its ECE divided by the base's."""
