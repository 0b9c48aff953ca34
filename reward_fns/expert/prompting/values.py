"""The values that a judge's reply may hold, read strictly: a ValueError says what is wrong.

Messages never repeat the value: a judge may quote the reference answer.
"""

from typing import Any


def binary(value: Any) -> int:
    """0 or 1."""
    if type(value) is not int or value not in (0, 1):
        raise ValueError("a label is not 0 or 1")
    return value


def overall(value: Any, task: str) -> float:
    """An overall verdict in [0, 1]; 0 or 1 for QA."""
    if (
        type(value) not in (int, float)
        or not 0 <= value <= 1
        or (task == "QA" and value not in (0, 1))
    ):
        raise ValueError(
            f"the overall verdict is not {'0 or 1' if task == 'QA' else 'within 0 to 1'}"
        )
    return float(value)


def texts(value: Any) -> tuple[str, ...]:
    """Texts, none of them empty."""
    if not isinstance(value, list) or not all(
        isinstance(text, str) and text.strip() for text in value
    ):
        raise ValueError("not a list of texts")
    return tuple(value)


def labels(value: Any, n: int) -> tuple[int, ...]:
    """n labels."""
    if not isinstance(value, list):
        raise ValueError("the claim labels are no list")
    if len(value) != n:
        raise ValueError(f"{len(value)} labels for {n} claims")
    return tuple(map(binary, value))


def one_of(value: Any, labels: tuple[str, ...]) -> str:
    """One of some labels."""
    if value not in labels:
        raise ValueError(f"the label is none of {', '.join(labels)}")
    return str(value)


def question(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the question is no text")
    return value


def score(value: Any, lowest: int, highest: int) -> int:
    """A whole number within a range, both ends included."""
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"the score is no whole number from {lowest} to {highest}")
    return value
