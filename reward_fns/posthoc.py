"""A fitted post-hoc calibration, applied: for serving code, without torch, scikit-learn or numpy.

    calibrator = load_calibrator("pcr.isotonic.json")
    calibrator.apply(0.83)

It is fitted by `python -m eval fit-calibrator`. Methods, of a confidence c:

    isotonic     the nondecreasing map that fits best (Zadrozny & Elkan 2002),
                 linear between its points
    histogram    the mean verdict of the fit's answers in c's bin, of ten equal-width ones
    temperature  sigma(logit(c) / T)
    platt        sigma(a c + b) (Platt 1999)
    beta         sigma(a ln c - b ln(1 - c) + m) (Kull et al. 2017)
"""

import json
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPSILON = 1e-6
"""Confidences are moved this far from 0 and 1 before a logarithm."""


def _sigma(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2


def clipped(confidence: float) -> float:
    """The confidence within [EPSILON, 1 - EPSILON]."""
    return min(max(confidence, EPSILON), 1 - EPSILON)


def _interpolated(parameters: Mapping[str, Any], c: float) -> float:
    x: Sequence[float] = parameters["x"]
    y: Sequence[float] = parameters["y"]
    right = bisect_right(x, c)
    if right == 0:
        return y[0]
    if right == len(x):
        return y[-1]
    left = right - 1
    slope = (y[right] - y[left]) / (x[right] - x[left])
    return slope * (c - x[left]) + y[left]


def _binned(parameters: Mapping[str, Any], c: float) -> float:
    means: Sequence[float] = parameters["means"]
    return means[min(int(c * len(means)), len(means) - 1)]


def _temperature(parameters: Mapping[str, Any], c: float) -> float:
    c = clipped(c)
    return _sigma(math.log(c / (1 - c)) / parameters["temperature"])


def _platt(parameters: Mapping[str, Any], c: float) -> float:
    return _sigma(parameters["a"] * c + parameters["b"])


def _beta(parameters: Mapping[str, Any], c: float) -> float:
    c = clipped(c)
    return _sigma(
        parameters["a"] * math.log(c) - parameters["b"] * math.log(1 - c) + parameters["m"]
    )


METHODS: dict[str, Callable[[Mapping[str, Any], float], float]] = {
    "isotonic": _interpolated,
    "histogram": _binned,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
}


@dataclass(frozen=True)
class Calibrator:
    """A map of confidences.

    Attributes:
        method: one of `METHODS`.
        parameters: what was fitted.
        fit: on what: model, protocol, n, question ids, ...

    Raises:
        ValueError: an unknown method.
    """

    method: str
    parameters: Mapping[str, Any]
    fit: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}: choose one of {', '.join(METHODS)}")

    def apply(self, confidence: float) -> float:
        """The calibrated confidence in [0, 1].

        Raises:
            ValueError: a confidence outside [0, 1].
        """
        if not 0 <= confidence <= 1:
            raise ValueError(f"confidence {confidence!r} is outside [0, 1]")
        return METHODS[self.method](self.parameters, confidence)


def load_calibrator(path: str | os.PathLike[str]) -> Calibrator:
    """A calibrator from its file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return Calibrator(content["method"], content["parameters"], content["fit"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no calibrator (python -m eval fit-calibrator): {error}"
        ) from error
