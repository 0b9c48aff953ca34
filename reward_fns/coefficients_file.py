"""The reward coefficients of one dataset, and the YAML file that holds those of several:

pocket-digit:
  {alpha: 1.3, beta: 1.5, gamma: 0.9, delta: 1.0,
   questions: {vote_margin: {mean: 0.8, sd: 0.2}, log_entity_rarity: {mean: 4.7, sd: 0.3}}}

`questions` is what a single question is measured against (`question_difficulty`). A file without
it is as good for every other use.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from reward_fns.files import write_text

_NAMES = ("alpha", "beta", "gamma", "delta")
_QUESTIONS = "questions"


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
            if not is_finite(value) or value < 0:
                raise ValueError(f"coefficient {name} must be a finite number >= 0, got {value!r}")


@dataclass(frozen=True)
class Spread:
    """Mean and population standard deviation of a statistic over a dataset's questions, in its
    own unit.

    Raises:
        ValueError: a value that is not finite, or a deviation below 0.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not is_finite(self.mean):
            raise ValueError(f"mean must be a finite number, got {self.mean!r}")
        if not is_finite(self.sd) or self.sd < 0:
            raise ValueError(f"sd must be a finite number >= 0, got {self.sd!r}")


@dataclass(frozen=True)
class QuestionReference:
    """What a question of a dataset is measured against; None for a statistic that none of its
    questions has.

    Attributes:
        vote_margin: of the questions' vote margins, in [0, 1].
        log_entity_rarity: of ln(entity_rarity), since frequencies of names have a long tail.
    """

    vote_margin: Spread | None = None
    log_entity_rarity: Spread | None = None


def load_coefficients(path: str | os.PathLike[str]) -> dict[str, Coefficients]:
    """Read a coefficients file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not YAML of the form ``dataset: {alpha, beta, gamma, delta}``, with or without
            ``questions``, or a value out of range; names file and dataset.
    """
    return {dataset: values for dataset, (values, _) in _load(path).items()}


def load_references(path: str | os.PathLike[str]) -> dict[str, QuestionReference | None]:
    """What the questions of each dataset in a coefficients file are measured against; None for a
    dataset whose entry has no ``questions``.

    Raises:
        FileNotFoundError, ValueError: as `load_coefficients`.
    """
    return {dataset: reference for dataset, (_, reference) in _load(path).items()}


def _load(
    path: str | os.PathLike[str],
) -> dict[str, tuple[Coefficients, QuestionReference | None]]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} must map dataset names to alpha, beta, gamma and delta")
    mapping = {}
    for dataset, values in content.items():
        if not isinstance(values, dict) or values.keys() - {_QUESTIONS} != set(_NAMES):
            raise ValueError(
                f"{path}: dataset {dataset!r} must have exactly the keys alpha, beta, gamma, "
                f"delta, and {_QUESTIONS} if it was measured"
            )
        try:
            weights = Coefficients(**{name: values[name] for name in _NAMES})
            reference = _read_reference(values[_QUESTIONS]) if _QUESTIONS in values else None
        except ValueError as error:
            raise ValueError(f"{path}: dataset {dataset!r}: {error}") from error
        mapping[str(dataset)] = weights, reference
    return mapping


def _read_reference(given: Any) -> QuestionReference:
    known = QuestionReference.__dataclass_fields__.keys()
    if not isinstance(given, dict) or given.keys() - known:
        raise ValueError(f"{_QUESTIONS} maps {' and '.join(known)} to mean and sd, got {given!r}")
    for name, spread in given.items():
        if not isinstance(spread, dict) or spread.keys() != {"mean", "sd"}:
            raise ValueError(f"{_QUESTIONS}.{name} must have exactly the keys mean and sd")
    return QuestionReference(**{name: Spread(**spread) for name, spread in given.items()})


def save_coefficients(
    path: str | os.PathLike[str],
    mapping: Mapping[str, Coefficients],
    references: Mapping[str, QuestionReference] | None = None,
) -> None:
    """Write a coefficients file that `load_coefficients` and `load_references` read back exactly;
    atomic (written beside, then renamed).

    Args:
        mapping: dataset -> its coefficients.
        references: dataset of `mapping` -> what its questions are measured against.
    """
    content: dict[str, dict[str, Any]] = {
        dataset: {name: float(getattr(values, name)) for name in _NAMES}
        for dataset, values in mapping.items()
    }
    for dataset, reference in (references or {}).items():
        spreads = {name: spread for name, spread in asdict(reference).items() if spread is not None}
        content[dataset][_QUESTIONS] = spreads
    write_text(Path(path), yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def is_finite(value: Any) -> bool:
    """Whether it is a number, and no truth value, that is finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
