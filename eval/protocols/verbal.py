"""Verbal: the model's own number.

    verbal        the overall confidence that the answer itself states, in the format that
                  the model was trained on
    verbal_asked  the number that the model gives when it is shown question and answer
                  (the paper's 4.3 and A.8)

Greedy: one number is wanted, the one that the model finds most fitting.
"""

from collections.abc import Sequence
from typing import Any

from data_prep.engines import Engine, Sampling
from eval.protocols.ask_model import Asked, ask
from eval.protocols.numbers import read_confidence
from eval.records import Confidence
from reward_fns import prompts

MAX_TOKENS = 16  # of a reply that is to be one number


class Stated:
    """`verbal`. Asks the model nothing."""

    @property
    def settings(self) -> dict[str, Any]:
        """Nothing beyond the answers."""
        return {}

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Read from the answers' records."""
        return [item.found(item.answer.stated_confidence) for item in batch]


class VerbalAsked:
    """`verbal_asked`: one prompt an answer."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @property
    def settings(self) -> dict[str, Any]:
        """The prompt and how the reply is decoded."""
        return {"prompt": prompts.template("verbal_confidence"), "max_tokens": MAX_TOKENS}

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Ask for the number."""
        requests = [
            item.request(
                "verbal_confidence", self._seed, question=item.question.question, answer=item.text
            )
            for item in batch
        ]
        replies = ask(engine, requests, Sampling(temperature=0, max_tokens=MAX_TOKENS))
        return [
            item.found(read_confidence(reply.text), [reply.text])
            for item, (reply,) in zip(batch, replies, strict=True)
        ]
