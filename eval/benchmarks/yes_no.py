"""Yes or no: reading such answers, and what they score.

An answer is read by its first word (yes, no, true, false), or by "there is", "there are" with or
without "no" or "not" behind; anything else is unreadable (None). Unreadable answers are wrong:
they stay in the denominators of accuracy and recall, and are in no precision. POPE's own script
reads every answer without a "no" or "not" in its first sentence as yes; so it gives a model that
says something else half of the points.

With "positive" one of the two answers (POPE: yes; AMBER: no, the answer to a
question about a hallucination):

    accuracy = right / n           precision = TP / (TP + FP)
    recall = TP / positives        F1 = 2 TP / (2 TP + FP + FN)

where FN holds the positives that were not answered so, unreadable ones included.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eval.benchmarks.rates import Rate, ratio
from eval.benchmarks.views import statements

_FIRST = re.compile(r"\W*(yes|no|true|false)\b", re.IGNORECASE)
_THERE = re.compile(r"\W*there (?:is|are)(n['’]t|(?: (?:no|not))?)\b", re.IGNORECASE)
_POSITIVE_WORDS = ("yes", "true")


@dataclass(frozen=True)
class YesNo:
    """One question's answer: `truth` and `said` are "yes" or "no", `said` None if unreadable."""

    truth: str
    said: str | None
    image_id: str


@dataclass(frozen=True)
class YesNoScores:
    """See the module; `yes_share`: of all answers, those that say yes."""

    accuracy: Rate
    precision: Rate
    recall: Rate
    f1: Rate
    yes_share: Rate
    unreadable: int


def read_yes_no(response: str) -> str | None:
    """ "yes", "no" or None.

    >>> read_yes_no("1. No, there is no dog. I'm sure."), read_yes_no("A dog.")
    ('no', None)
    """
    said = statements(response, "asserted")
    text = said[0].text if said else ""
    if match := _FIRST.match(text):
        return "yes" if match[1].lower() in _POSITIVE_WORDS else "no"
    if match := _THERE.match(text):
        return "no" if match[1] else "yes"
    return None


def score(answers: Sequence[YesNo], positive: str = "yes", seed: int = 0) -> YesNoScores:
    """Scores of some answers; intervals resample images with all their questions."""
    images = [one.image_id for one in answers]
    is_positive = [one.truth == positive for one in answers]
    said = [one.said == positive for one in answers]
    hit = [a and b for a, b in zip(is_positive, said, strict=True)]
    right = [one.said == one.truth for one in answers]
    every = [1] * len(answers)

    def rate(above: Sequence[float], below: Sequence[float]) -> Rate:
        return ratio(above, below, images, seed)

    return YesNoScores(
        accuracy=rate(right, every),
        precision=rate(hit, said),
        recall=rate(hit, is_positive),
        f1=rate([2 * x for x in hit], [a + b for a, b in zip(is_positive, said, strict=True)]),
        yes_share=rate([one.said == "yes" for one in answers], every),
        unreadable=sum(one.said is None for one in answers),
    )
