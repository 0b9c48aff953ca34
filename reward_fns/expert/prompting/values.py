"""The values that a judge's reply may hold, read strictly: a ValueError says what is wrong.

Judges that no JSON schema holds write one label in several ways: 1, 1.0, true, "1". Each
can mean one thing only, so each is read (`plain_number`). Nothing else is: no "yes", no
"1/1", no " 1 ", no NaN.

Messages never repeat the value: a judge may quote the reference answer.
"""

import re
from typing import Any

_PLAIN = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,30})?", re.ASCII)


def plain_number(value: Any) -> float | None:
    """A JSON number, or a text that is one in plain decimals, as a float;
    None for anything else.
    """
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return float(value)
    return float(value) if type(value) in (int, float) else None


def binary(value: Any) -> int:
    """0 or 1, also as 0.0, "1" or true."""
    number = float(value) if isinstance(value, bool) else plain_number(value)
    if number is None or number not in (0, 1):
        raise ValueError("a label is not 0 or 1")
    return int(number)


def overall(value: Any, task: str) -> float:
    """An overall verdict in [0, 1]; 0 or 1 for QA, as `binary` reads it."""
    if task == "QA":
        try:
            return float(binary(value))
        except ValueError:
            raise ValueError("the overall verdict is not 0 or 1") from None
    number = plain_number(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError("the overall verdict is not within 0 to 1")
    return number


def texts(value: Any) -> tuple[str, ...]:
    """Texts, none of them empty."""
    if not isinstance(value, list) or not all(
        isinstance(text, str) and text.strip() for text in value
    ):
        raise ValueError("not a list of texts")
    return tuple(map(_unicode, value))


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
    return _unicode(value)


def _unicode(text: str) -> str:
    """The text, if it can be written down: JSON can name half of a surrogate pair,
    a file cannot hold it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text is not valid Unicode") from None
    return text


def score(value: Any, lowest: int, highest: int) -> int:
    """A whole number within a range, both ends included."""
    number = plain_number(value)
    if number is None or not number.is_integer() or not lowest <= number <= highest:
        raise ValueError(f"the score is no whole number from {lowest} to {highest}")
    return int(number)
