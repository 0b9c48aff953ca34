"""The reward coefficients of one dataset, and the YAML file that holds those of several:

pocket-digit: {alpha: 1.3, beta: 1.5, gamma: 0.9, delta: 1.0}
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from reward_fns.files import write_text

_NAMES = ("alpha", "beta", "gamma", "delta")


@dataclass(frozen=True)
class Coefficients:
    """Weights of the reward's four terms, each finite and at least 0: factuality,
    alignment, consistency, penalty.

    Raises:
        ValueError: a weight that is negative or not finite.
    """

    alpha: float
    beta: float
    gamma: float
    delta: float

    def __post_init__(self) -> None:
        for name in _NAMES:
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not (math.isfinite(value) and value >= 0)
            ):
                raise ValueError(f"coefficient {name} must be a finite number >= 0, got {value!r}")


def load_coefficients(path: str | os.PathLike[str]) -> dict[str, Coefficients]:
    """Read a coefficients file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not YAML of the form ``dataset: {alpha, beta, gamma, delta}``, or a value out
            of range; names file and dataset.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} must map dataset names to alpha, beta, gamma and delta")
    mapping = {}
    for dataset, values in content.items():
        if not isinstance(values, dict) or values.keys() != set(_NAMES):
            raise ValueError(
                f"{path}: dataset {dataset!r} must have exactly the keys alpha, beta, gamma, delta"
            )
        try:
            mapping[str(dataset)] = Coefficients(**values)
        except ValueError as error:
            raise ValueError(f"{path}: dataset {dataset!r}: {error}") from error
    return mapping


def save_coefficients(path: str | os.PathLike[str], mapping: Mapping[str, Coefficients]) -> None:
    """Write a coefficients file that `load_coefficients` reads back exactly; atomic (written
    beside, then renamed).
    """
    content = {
        dataset: {name: float(getattr(values, name)) for name in _NAMES}
        for dataset, values in mapping.items()
    }
    write_text(Path(path), yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
