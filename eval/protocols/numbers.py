"""Reading the number that a model was asked for.

Accepted: a line "<heading>: 0.85" anywhere in the reply; or, without such a line, a reply that is one number and
nothing else but decoration; or one that says "I am 85% sure". A percent sign divides by 100. Two different numbers, one
outside [0, 1] (85 without its sign), a number within other text ("The digit is 1."), or none at all: None, a parse
failure, which is counted and never guessed at.
"""

import re

from reward_fns.lenient import read_number

_NUMBER = r"(?<![\w.\-])([+-]?(?:\d{1,9}(?:\.\d{0,30})?|\.\d{1,30}) ?\\?%?)(?!\w|\.\d| ?/)"
_SURE = re.compile(r"\bI(?: am|['’]m) (\S{1,20} ?\\?%) (?:sure|certain|confident)", re.IGNORECASE)


def read_confidence(text: str, heading: str = "confidence") -> float | None:
    """The confidence that a reply states, in [0, 1]; None if there is none, or no single one.

    >>> read_confidence("0.85"), read_confidence("Answer confidence: 85%", "answer confidence"), read_confidence("8/10")
    (0.85, 0.85, None)
    """
    headed = re.findall(
        rf"{re.escape(heading)}[*_ ]*[:=\uff1a][*_ ]*{_NUMBER}", text, re.IGNORECASE
    )
    values = {read_number(number) for number in headed or _SURE.findall(text) or [text]}
    return values.pop() if len(values) == 1 else None
