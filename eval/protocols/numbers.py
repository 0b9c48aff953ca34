"""Reading the number that a model was asked for.

Accepted: a line "<heading>: 0.85" anywhere in the reply; or, without such a line, a reply that holds one number and no
other. A percent sign divides by 100. Two different numbers, one outside [0, 1] (85 without its sign), or none at all:
None, a parse failure, which is counted and never guessed at.
"""

import re

_NUMBER = r"(?<![\w.\-])([+-]?(?:\d{1,9}(?:\.\d{0,30})?|\.\d{1,30}))(?!\w|\.\d)\s?(%?)"


def read_confidence(text: str, heading: str = "confidence") -> float | None:
    """The confidence that a reply states, in [0, 1]; None if there is none, or no single one.

    >>> read_confidence("0.85"), read_confidence("Answer confidence: 85%", "answer confidence"), read_confidence("8/10")
    (0.85, 0.85, None)
    """
    headed = re.findall(rf"{re.escape(heading)}[*_ ]*[:=][*_ ]*{_NUMBER}", text, re.IGNORECASE)
    values = {
        float(number) / (100 if percent else 1)
        for number, percent in headed or re.findall(_NUMBER, text)
    }
    value = values.pop() if len(values) == 1 else None
    return value if value is not None and 0 <= value <= 1 else None
