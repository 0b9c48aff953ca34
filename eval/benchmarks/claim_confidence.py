"""How sure an answer is of each of its claims, from three sources.

    tag              1 for "I'm sure.", 0 for "I'm not sure."
    tag_probability  P(sure) at the claim's tag, where the engine gave it (`eval.protocols.tags`)
    stated           the overall confidence of the answer, the same for all its claims

A claim whose confidence is unknown has None: no threshold trusts it. So has the text of an answer
that is not in the claim format, which counts as one claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reward_fns.claims import ParsedResponse, parse_response
from reward_fns.lenient import said

SOURCES = ("tag", "tag_probability", "stated")


@dataclass(frozen=True)
class RatedClaim:
    """A claim's text, and how sure the answer is of it, in [0, 1]; None if unknown."""

    text: str
    confidence: float | None


def rated_claims(
    response: str, source: str, tag_probabilities: Sequence[float | None] = ()
) -> tuple[RatedClaim, ...]:
    """The claims of a response with their confidences.

    Args:
        source: one of `SOURCES`.
        tag_probabilities: of the claims, in order; () if unknown.

    >>> rated_claims("1. A dog. I'm not sure.\\nConfidence: 0.4", "stated")
    (RatedClaim(text='A dog.', confidence=0.4),)

    Raises:
        ValueError: no such source.
    """
    if source not in SOURCES:
        raise ValueError(f"no source {source!r}: there are {', '.join(SOURCES)}")
    parsed = parse_response(response)
    if not parsed.list_is_whole:
        text = said(response)
        return (RatedClaim(text, None),) if text else ()
    confidences = _confidences(parsed, source, tag_probabilities)
    return tuple(
        RatedClaim(claim.text, confidence)
        for claim, confidence in zip(parsed.claims, confidences, strict=True)
    )


def _confidences(
    parsed: ParsedResponse, source: str, tag_probabilities: Sequence[float | None]
) -> Sequence[float | None]:
    if source == "tag":
        return [float(claim.sure) for claim in parsed.claims]
    if source == "stated":
        return [parsed.confidence] * len(parsed.claims)
    known = len(tag_probabilities) == len(parsed.claims)
    return tag_probabilities if known else [None] * len(parsed.claims)
