"""DP, direct probability (paper 4.3): the model's own token probabilities, from the answer that stands in the records.

    dp           max_j p_j at the final generated token: the last one with text, the end of sequence not counted
    dp_end       the same at the last generated token, which is the end of sequence where the answer was not cut off
    dp_sequence  exp(mean log p of the tokens drawn), the length-normalised probability of the whole answer

The paper takes "the final generated token" and leaves open which that is. The end of sequence tells only whether the
text is over, and is near 1 after a fixed format, so `dp` looks at the last token that says something. In the claim
format that is the last digit of the confidence. All three are of the model at temperature 1, whatever the temperature
of the sampling. Answers without token probabilities (`Answer.probabilities` is {}) have no confidence.
"""

import math
from collections.abc import Sequence
from typing import Any

from data_prep.engines import Completion, Engine, Token
from eval.protocols.ask_model import Asked
from eval.records import Confidence

DIGITS = 6  # kept of a probability: what is equal in float32 is equal in the records


def token_probabilities(completion: Completion) -> dict[str, float]:
    """What the three protocols read: {"dp", "dp_end", "dp_sequence"}, each in [0, 1]; {} without tokens."""
    tokens = completion.tokens
    if not tokens:
        return {}
    mean = math.fsum(token.logprob for token in tokens) / len(tokens)
    values = {
        "dp": _highest(_last_text(completion)),
        "dp_end": _highest(tokens[-1]),
        "dp_sequence": math.exp(mean),
    }
    return {name: round(min(value, 1.0), DIGITS) for name, value in values.items()}


def _highest(token: Token) -> float:
    return math.exp(max([token.logprob, *token.top.values()]))


def _last_text(completion: Completion) -> Token:
    """The last token that is part of the text; the last token at all if none can be found in it."""
    text = completion.text.rstrip()
    for token in reversed(completion.tokens):
        piece = token.text.strip()
        if piece and text.endswith(piece):
            return token
    return completion.tokens[-1]


class DirectProbability:
    """One of the three, by name. Asks the model nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def settings(self) -> dict[str, Any]:
        """Nothing beyond the answers."""
        return {}

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Read from the answers' records."""
        return [item.found(item.answer.probabilities.get(self._name)) for item in batch]
