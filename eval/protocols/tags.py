"""Tags: how sure the model is by its "I'm sure." and "I'm not sure." tags alone,
where it states no number.

For models that were taught tags and no overall confidence, as R-Tuning's: the paper evaluates that
model by the same protocols as the others, and this one reads what it was trained to say. With
P(sure) of claim i, the probability of "sure" against "not sure" at the place of its tag,

    c = mean_i P_i(sure)          or, where the engine gave no token probabilities,
                                  the share of claims tagged sure.

None for an answer without claims.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.engines import Completion, Engine
from eval.protocols.ask_model import Asked
from eval.protocols.direct import DIGITS
from eval.protocols.token_places import placed_tokens
from eval.records import Confidence
from reward_fns.claims import Claim

_TAG = re.compile(r"\bI(?:['’‘ʼ`´]m| am)(?= (?:not |un)?sure)", re.IGNORECASE)


def tag_probabilities(completion: Completion, claims: Sequence[Claim]) -> list[float | None]:
    """P(sure) at the tag of each claim, in [0, 1].

    None for all claims unless there is one tag a claim; None for a claim at whose tag no token
    begins, or where neither "sure" nor "not" is among the most probable tokens.
    """
    if not completion.tokens:
        return []
    ends = [match.end() for match in _TAG.finditer(completion.text)]
    if len(ends) != len(claims):
        return [None] * len(claims)
    starts = dict(placed_tokens(completion))
    return [_sure(starts[end + 1].top) if end + 1 in starts else None for end in ends]


def _sure(top: Mapping[str, float]) -> float | None:
    words = {"sure": 0.0, "not": 0.0}
    for piece, logprob in top.items():
        word = piece.strip().lower()
        if word and ("sure".startswith(word) or word == "sure."):
            words["sure"] += math.exp(logprob)
        elif word and ("not".startswith(word) or "unsure".startswith(word)):
            words["not"] += math.exp(logprob)
    total = sum(words.values())
    return round(words["sure"] / total, DIGITS) if total else None


class Tags:
    """Asks the model nothing."""

    @property
    def settings(self) -> dict[str, Any]:
        """Nothing beyond the answers."""
        return {}

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Read from the answers' records."""
        return [self._one(item) for item in batch]

    def _one(self, item: Asked) -> Confidence:
        claims, known = (
            item.answer.claims,
            [p for p in item.answer.tag_probabilities if p is not None],
        )
        if not claims:
            return item.found(None)
        if len(known) == len(claims):
            return item.found(
                min(1.0, math.fsum(known) / len(known)), detail={"read": "probability"}
            )
        return item.found(
            sum(bool(claim["sure"]) for claim in claims) / len(claims), detail={"read": "tag"}
        )
