"""Reading the number that a model was asked for.

Accepted: "<heading>: 0.85" anywhere in the reply, also with the number on the next line; or,
without such a heading, a reply that is one number and nothing else but decoration; or one that
says "I am 85% sure". A percent sign divides by 100. Two different numbers, one outside [0, 1]
(85 without its sign), one that may mean two things ("0,7", "1 out of 10", "0.7 or 0.8"), a
number within other text ("The digit is 1."), or none at all: None, a parse failure, which is
counted and never guessed at.
"""

import re

from reward_fns.response_text import spoken
from reward_fns.stated_number import read_number, split_number

_SURE = re.compile(r"\bI(?: am|['’]m) (\S{1,20} ?\\?%) (?:sure|certain|confident)", re.IGNORECASE)


def _behind_heading(text: str) -> str:
    """The statement of the number in the text behind a heading: on its line,
    else the next line whole.
    """
    first, *others = text.splitlines() or [""]
    if spoken(first):
        return split_number(first)[0]
    return next(filter(spoken, others), "")


def read_confidence(text: str, heading: str = "confidence") -> float | None:
    """The confidence that a reply states, in [0, 1]; None if there is none, or no single one.

    >>> read_confidence("0.85"), read_confidence("8/10")
    (0.85, None)
    >>> read_confidence("Answer confidence: 85%", "answer confidence")
    0.85
    """
    _, *behind = re.split(rf"{re.escape(heading)}[*_ ]*[:=\uff1a]", text, flags=re.IGNORECASE)
    headed = [value for value in map(_behind_heading, behind) if re.search(r"\d", value)]
    values = {read_number(number) for number in headed or _SURE.findall(text) or [text]}
    return values.pop() if len(values) == 1 else None
