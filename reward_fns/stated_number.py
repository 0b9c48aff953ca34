"""A confidence as people and untaught models write it: one number, decorated,
perhaps with words behind it.

For evaluation; the reward's own format is read by `claims`. What may mean two things stays
unread: ``0,7``, ``8/10``, ``0.7 or 0.8``, ``1 out of 10``, ``0.95%``, and ``0.``, which was
cut off behind its point.
"""

import re

_NUMBER = r"([+-]?(?:[0-9]{1,9}(?:\.[0-9]{1,30})?|\.[0-9]{1,30}))"
_DECORATION = r"[\s*_`\"'$)\]}]*"
_ASIDE = r"(?:(?:sure|certain|confident)\b|\((?!(?:out )?of\b)[^()0-9]{0,40}\))?"
_VALUE = re.compile(
    r"[\s*_`\"'$(\[]*(?:\\boxed\{\s*)?" + _NUMBER + r"\s?(\\?%|\uff05)?" + _DECORATION + _ASIDE,
    re.IGNORECASE,
)
_END = re.compile(r"[\s*_`\"'$)\]}.\u3002]*")
_BEHIND = re.compile(
    r"(?:[.\u3002;!]+\s*|[,;:(\u2013\u2014-]+\s*|(?=(?:because|since|as|that|for)\b))"
    r"(?!(?:or|and|to|of|out)\b)(?=[^\W\d_])",
    re.IGNORECASE,
)
_CUT = re.compile(r"(?<![0-9.])0+\.\W*\Z")
_SENTENCE_END = re.compile(r"[.!?\u3002]\s+")


def read_number(text: str) -> float | None:
    """The confidence that a text is, with decoration; None for anything but one number in [0, 1].

    >>> read_number("**85%**"), read_number("\\\\boxed{0.7}")
    (0.85, 0.7)
    >>> read_number("0."), read_number("0.95%")
    (None, None)
    """
    match = _VALUE.match(text)
    if match is None or not _END.fullmatch(text, match.end()) or _CUT.search(text):
        return None
    value = float(match[1]) / (100 if match[2] else 1)
    ambiguous = match[2] is not None and 0 < value < 0.01
    return value + 0.0 if 0 <= value <= 1 and not ambiguous else None


def split_number(text: str) -> tuple[str, str]:
    """What stands behind a confidence heading: the statement of the number,
    and what is said behind it.

    A number and a new clause part there; anything else parts behind its first sentence.
    The point of "0. The digit is 7." stays with the number: sampled answers show that
    its digits are lost then.

    >>> split_number("0.9. The digit is 7."), split_number("8/10. It is red.")
    (('0.9.', 'The digit is 7.'), ('8/10.', 'It is red.'))
    >>> split_number("0.7 or 0.8")
    ('0.7 or 0.8', '')
    """
    number = _VALUE.match(text)
    behind = _BEHIND.match(text, number.end()) if number else None
    if number and behind:
        point = text.startswith(".", number.end())
        return text[: number.end() + point].rstrip(), text[behind.end() :]
    end = _SENTENCE_END.search(text)
    return (text[: end.start() + 1], text[end.end() :]) if end else (text, "")
