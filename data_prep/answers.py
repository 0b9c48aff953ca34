"""A question's sampled answers: which of them are equal, which is the most frequent, how
sure the model may be of it.

With the prompt of the claim format two answers are equal if they make the same claims, whatever
tags and confidence they state, and one whose list is not whole is no answer. With the plain prompt
they are equal if their texts are. Both are compared by `reward_fns.claims.normalise`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reward_fns.claims import normalise, parse_response


@dataclass(frozen=True)
class Answer:
    """Equal samples.

    Attributes:
        text: the first of them; of the claim format only its claims, one a line, without tags.
        claims: its claims, () for an answer to the plain prompt.
        count: how many they are.
    """

    text: str
    claims: tuple[str, ...]
    count: int


def equal_answers(candidates: Iterable[Mapping[str, Any]], prompt: str) -> list[Answer]:
    """The readable answers, in the order of their first appearance.

    Args:
        candidates: of a record of `candidates.jsonl`.
        prompt: "plain" or "claims", the prompt that they answer.
    """
    found: dict[tuple[str, ...], Answer] = {}
    for candidate in candidates:
        text: str = candidate["text"]
        claims: tuple[str, ...] = ()
        if prompt == "claims":
            parsed = parse_response(text)
            claims = tuple(claim.text for claim in parsed.claims)
            if not parsed.list_is_whole:
                continue
            text = "\n".join(claims)
        key = tuple(map(normalise, claims or (text,)))
        earlier = found.get(key)
        count = candidate["count"] + (earlier.count if earlier else 0)
        found[key] = (
            Answer(earlier.text, earlier.claims, count) if earlier else Answer(text, claims, count)
        )
    return list(found.values())


def most_frequent(answers: Sequence[Answer]) -> Answer:
    """The answer with the most samples, the earliest of equally frequent ones: a
    single one may be a slip.
    """
    return max(answers, key=lambda answer: answer.count)


def sampled(record: Mapping[str, Any]) -> int:
    """How many answers were drawn, empty and unreadable ones included."""
    return int(sum(candidate["count"] for candidate in record["candidates"]) + record["empty"])


def chance_of_right(right: float, n: int) -> float:
    """Laplace's rule of succession, (right + 1) / (n + 2), in (0, 1): mean of the Beta
    posterior under a flat prior.

    A handful of samples never shows that a model is always right, or never: 10 of 10 give
    0.92, 0 of 10 give 0.08.

    Args:
        right: sum of the verdicts over the samples, in [0, n].
        n: samples.
    """
    return (right + 1) / (n + 2)
