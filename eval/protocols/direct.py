"""DP, direct probability (paper 4.3): the model's own token probabilities, from the answer
that stands in the records.

    dp           max_j p_j at the final generated token: the last one with text, the
                 end of sequence not counted
    dp_end       the same at the last generated token, which is the end of sequence where
                 the answer was not cut off
    dp_answer    the same at the last token of what the answer says, the one with
                 its last letter or digit
    dp_sequence  exp(mean log p of the tokens drawn), the length-normalised
                 probability of the whole answer

The paper takes "the final generated token" and leaves open which that is. The end of sequence
tells only whether the text is over, and is near 1 after a fixed format, so `dp` looks at the
last token that says something. In the claim format that is the last digit of the confidence;
of a model that states none it is a tag, and of free text a period. So between models `dp`
compares different things. `dp_answer` looks at the same place in each: the end of the last
claim (of the last statement), never a tag or the number, nor the period that only closes the
sentence. Every record names its token in `detail`. All four are of the model at temperature 1,
whatever the temperature of the sampling. Answers without token probabilities
(`Answer.probabilities` is {}) have no confidence.
"""

import math
from collections.abc import Sequence
from typing import Any

from data_prep.engines import Completion, Engine, Token
from eval.protocols.ask_model import Asked
from eval.protocols.token_places import own_last_token
from eval.records import Confidence

DIGITS = 6  # kept of a probability: what is equal in float32 is equal in the records


def token_probabilities(completion: Completion) -> dict[str, float]:
    """What the protocols read: {"dp", "dp_end", "dp_answer", "dp_sequence"}, each in
    [0, 1]; {} without tokens.

    `dp_answer` is left out where the end of what the answer says cannot be located.
    """
    tokens = completion.tokens
    if not tokens:
        return {}
    mean = math.fsum(token.logprob for token in tokens) / len(tokens)
    values = {name: _highest(token) for name, token in _stood_on(completion).items()}
    values["dp_sequence"] = math.exp(mean)
    return {name: round(min(value, 1.0), DIGITS) for name, value in values.items()}


def probability_tokens(completion: Completion) -> dict[str, str | int]:
    """The text of the token that each protocol stands on; of dp_sequence how many there
    are. {} without tokens.
    """
    if not completion.tokens:
        return {}
    texts = {name: token.text for name, token in _stood_on(completion).items()}
    return texts | {"dp_sequence": len(completion.tokens)}


def _stood_on(completion: Completion) -> dict[str, Token]:
    found = {"dp": _last_text(completion), "dp_end": completion.tokens[-1]}
    own = own_last_token(completion)
    return found if own is None else found | {"dp_answer": own}


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
    """One of the four, by name. Asks the model nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def settings(self) -> dict[str, Any]:
        """Nothing beyond the answers."""
        return {}

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Read from the answers' records."""
        return [self._one(item) for item in batch]

    def _one(self, item: Asked) -> Confidence:
        token = item.answer.probability_tokens.get(self._name)
        named = "token" if isinstance(token, str) else "tokens"
        detail = {} if token is None else {named: token}
        return item.found(item.answer.probabilities.get(self._name), detail=detail)
