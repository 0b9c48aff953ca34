"""Remove or mark the claims of an answer that it is not sure enough of: what a user
does with the confidence.

    remove   the claims below the threshold are gone, the others keep number, tag
             and the overall confidence
    mark     they stay, with "Perhaps: " in front

A claim without a confidence is below every threshold. An answer that is not in the claim
format is left as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eval.benchmarks.claim_confidence import rated_claims
from eval.benchmarks.views import GUESS
from reward_fns.claims import Claim, parse_response, render_response

ACTIONS = ("remove", "mark")


@dataclass(frozen=True)
class Filtered:
    """An answer after filtering.

    Attributes:
        response: "" if no claim was left.
        unsure: claims that were removed or marked; of `claims`.
        filtered: False for an answer that is not in the claim format.
    """

    response: str
    unsure: int
    claims: int
    filtered: bool


def filter_response(
    response: str,
    threshold: float,
    action: str,
    source: str = "tag",
    tag_probabilities: Sequence[float | None] = (),
) -> Filtered:
    """Remove or mark the claims whose confidence is below the threshold.

    Args:
        threshold: in [0, 1].
        action: one of `ACTIONS`.
        source: one of `claim_confidence.SOURCES`.

    Raises:
        ValueError: no such action or source.
    """
    if action not in ACTIONS:
        raise ValueError(f"no action {action!r}: there are {', '.join(ACTIONS)}")
    rated = rated_claims(response, source, tag_probabilities)
    parsed = parse_response(response)
    if not parsed.well_formed or parsed.confidence is None:
        return Filtered(response, 0, len(parsed.claims), False)
    unsure = [one.confidence is None or one.confidence < threshold for one in rated]
    claims = [
        _marked(claim) if below else claim
        for claim, below in zip(parsed.claims, unsure, strict=True)
        if action == "mark" or not below
    ]
    text = render_response(claims, parsed.confidence) if claims else ""
    return Filtered(text, sum(unsure), len(unsure), True)


def _marked(claim: Claim) -> Claim:
    return replace(claim, text=f"{GUESS}{claim.text}")
