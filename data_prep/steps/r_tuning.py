"""R-Tuning (paper A.4): SFT data that states one certainty for a whole answer, from the
records of our own SFT data.

    D1  the base's answers are correct and consistent: the answer, "I am sure."
    D0  otherwise:                                     the answer, "I am not sure."

Correct: the most frequent answer is right (the expert's overall verdict is above 1/2, for QA that
is 1). Consistent: so are more than half of the question's samples. The answer is the base's own,
as in our own SFT data, so that a comparison of the two is one of how certainty is taught.

The text is in the claim format, each claim with the answer's tag, and states no confidence:
R-Tuning has none. Its certainty is the tag, or the probability of "sure" against "not".

    1. A red 3 is at the top left. I am not sure.
    2. A blue 7 is at the top right. I am not sure.
"""

from collections.abc import Iterable, Sequence

from reward_fns.claims import DEFECTS, parse_response

RIGHT = 0.5
"""An overall verdict above this is a right answer."""


def certain(correct: float, samples: Iterable[tuple[float, int]], n: int) -> bool:
    """Whether an answer belongs to D1.

    Args:
        correct: verdict on the most frequent answer, in [0, 1].
        samples: (verdict, count) of each distinct readable answer.
        n: samples in all; those without a verdict are wrong.

    >>> certain(1.0, [(1.0, 6), (0.0, 4)], 10), certain(1.0, [(1.0, 5), (0.0, 2)], 10)
    (True, False)
    """
    return correct > RIGHT and 2 * sum(count for verdict, count in samples if verdict > RIGHT) > n


def render(facts: Sequence[str], sure: bool) -> str:
    """The training text of an answer.

    Raises:
        ValueError: the parser would read other claims or tags; the message names the first reason.
    """
    tag = "I am sure." if sure else "I am not sure."
    text = "\n".join(f"{i}. {fact} {tag}" for i, fact in enumerate(facts, start=1))
    parsed = parse_response(text)
    if parsed.defects != ("no_confidence",):
        reasons = [name for name in parsed.defects if name != "no_confidence"] or [
            "a confidence line"
        ]
        raise ValueError(
            "these facts cannot be written in the claim format: "
            f"{DEFECTS.get(reasons[0], reasons[0])}"
        )
    if [(claim.text, claim.sure) for claim in parsed.claims] != [(fact, sure) for fact in facts]:
        raise ValueError("these facts would be read back as others")
    return text
