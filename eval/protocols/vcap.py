"""VCAP (Xuan et al. 2025; the paper's A.4 and A.8): first what the model sees, then
whether the answer fits it.

Round 1 shows the image and the question and asks for a description with a visual confidence.
Round 2 shows the image, this description as the model wrote it, and the answer, and asks for the
answer confidence, which is the result. There are prompts for QA and for Detail. Both rounds are
greedy. A round-1 reply without a readable visual confidence is passed on all the same; `detail`
says what could be read.

Round 1 does not depend on the answer, so it is asked once a question however many
answers the batch has to it.
"""

from collections.abc import Sequence
from typing import Any

from data_prep.engines import Engine, Sampling
from eval.protocols.ask_model import Asked, ask
from eval.protocols.numbers import read_confidence
from eval.protocols.verbal import MAX_TOKENS
from eval.records import Confidence
from reward_fns import prompts


class Vcap:
    """Two prompts an answer."""

    def __init__(self, seed: int, max_tokens: int) -> None:
        """`max_tokens` bounds the description of round 1."""
        self._seed, self._max_tokens = seed, max_tokens

    @property
    def settings(self) -> dict[str, Any]:
        """The four prompts and how the replies are decoded."""
        names = [f"vcap_{task}_round{number}" for task in ("qa", "detail") for number in (1, 2)]
        return {
            "prompts": [prompts.template(name) for name in names],
            "max_tokens": [self._max_tokens, MAX_TOKENS],
        }

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Both rounds for a batch."""
        questions = {item.question.question_id: item for item in batch}
        requests = [
            item.request(
                f"vcap_{item.question.task.lower()}_round1",
                self._seed,
                question=item.question.question,
            )
            for item in questions.values()
        ]
        replies = ask(engine, requests, Sampling(temperature=0, max_tokens=self._max_tokens))
        seen = {
            question_id: reply.text
            for question_id, (reply,) in zip(questions, replies, strict=True)
        }
        second = [self._round2(item, seen[item.question.question_id]) for item in batch]
        verdicts = ask(engine, second, Sampling(temperature=0, max_tokens=MAX_TOKENS))
        return [
            self._found(item, seen[item.question.question_id], verdict.text)
            for item, (verdict,) in zip(batch, verdicts, strict=True)
        ]

    def _round2(self, item: Asked, seen: str) -> Any:
        values = {"visual_description": seen.strip(), "answer": item.text}
        if item.question.task == "QA":
            values["question"] = item.question.question
        return item.request(f"vcap_{item.question.task.lower()}_round2", self._seed, **values)

    def _found(self, item: Asked, seen: str, verdict: str) -> Confidence:
        visual = read_confidence(seen, "visual confidence")
        return item.found(
            read_confidence(verdict, "answer confidence"),
            [seen, verdict],
            {"visual_confidence": visual},
        )
