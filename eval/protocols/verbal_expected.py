"""verbal_expected: the mean of the numbers that the model might have stated, given the same answer.

The number of `verbal` is one draw from this distribution (at temperature 1); its mean does not
depend on the draw. How it is computed: `data_prep.engines.number_values`. `detail` holds the
`format` of the answer's number and the `mass`, the probability that lay on the values that this
format allows, of all ways to go on where they part.

None where the answer states no number that can be located, or one with more than two decimals.
"""

from collections.abc import Sequence
from typing import Any

from data_prep.engines import Engine, ScoredAnswer, ScoringRequest
from data_prep.engines.number_values import (
    FORMATS,
    Stated,
    expectation,
    score_values,
    stated_number,
)
from eval.protocols.ask_model import Asked
from eval.protocols.direct import DIGITS
from eval.records import Confidence


class VerbalExpected:
    """`verbal_expected`: one scoring pass over the values. Nothing is drawn."""

    @property
    def settings(self) -> dict[str, Any]:
        """The formats."""
        return {"formats": list(FORMATS)}

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Score the values of a batch.

        Raises:
            NoLogprobs: the engine does not score given text.
        """
        found = [
            stated_number(item.answer.response, item.answer.stated_confidence) for item in batch
        ]
        asked = [(item, one) for item, one in zip(batch, found, strict=True) if one is not None]
        requests = [
            ScoringRequest(
                item.question.messages, one.answers(item.answer.response), item.question.image
            )
            for item, one in asked
        ]
        scored = iter(score_values(engine, requests))
        return [
            item.found(None) if one is None else _found(item, one, next(scored))
            for item, one in zip(batch, found, strict=True)
        ]


def _found(item: Asked, stated: Stated, scored: list[ScoredAnswer] | None) -> Confidence:
    if scored is None:
        return item.found(None)
    values = [value for _, value in stated.values]
    try:
        mean, mass = expectation(values, scored)
    except ZeroDivisionError:
        return item.found(None, detail={"format": stated.format, "mass": 0.0})
    detail = {"format": stated.format, "mass": round(mass, DIGITS)}
    return item.found(round(mean, DIGITS), detail=detail)
