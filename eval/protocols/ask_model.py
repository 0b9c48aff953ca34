"""What every protocol gets and gives, and how it puts a question to the model."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tqdm import tqdm

from data_prep.engines import Completion, Engine, GenerationRequest, RefusedRequests, Sampling
from data_prep.verl_rows import Question
from eval.records import Answer, Confidence
from reward_fns import prompts
from reward_fns.lenient import running_text

IMAGE_MARK = "<image>"


@dataclass(frozen=True)
class Asked:
    """An answer whose confidence is wanted, with its question."""

    question: Question
    answer: Answer

    @property
    def text(self) -> str:
        """What the answer says as running text, without tags and confidence,
        which would give it away.

        A response that says nothing stands as it is.
        """
        return running_text(self.answer.response)

    def found(
        self,
        confidence: float | None,
        texts: Sequence[str] = (),
        detail: Mapping[str, Any] | None = None,
    ) -> Confidence:
        """The record of what a protocol found for this answer."""
        return Confidence(
            question_id=self.answer.question_id,
            sample=self.answer.sample,
            confidence=confidence,
            texts=list(texts),
            detail=dict(detail or {}),
        )

    def request(self, prompt: str, seed: int, **values: str) -> GenerationRequest:
        """A user turn of the question's image and a template of `reward_fns.prompts`.

        The seed is this answer's and this prompt's own. An image mark in a value, which some
        processors would read as a second image, is broken up.
        """
        text = prompts.render(
            prompt, **{k: v.replace(IMAGE_MARK, "< image >") for k, v in values.items()}
        )
        content = [{"type": "image"}, {"type": "text", "text": text}]
        own = request_seed(seed, f"{prompt}:{self.answer.key}")
        return GenerationRequest([{"role": "user", "content": content}], own, self.question.image)


class ConfidenceProtocol(Protocol):
    """A way to get a confidence for each answer."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the confidences depend on besides model, answers and seed; records of other
        settings are not reused.
        """
        ...

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """One record for each answer, in order; None where the confidence cannot be read.

        Raises:
            UserError: the engine cannot do what is asked.
        """
        ...


def ask(
    engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling
) -> list[list[Completion]]:
    """The completions of each request. One that the model refuses (a prompt too
    long, ...) has empty ones.

    So it is counted as an answer that cannot be read, and the others are kept; a
    line says how many and why.

    Raises:
        UserError: nothing can be answered.
    """
    try:
        return engine.generate(requests, sampling)
    except RefusedRequests as error:
        answers = [answer if isinstance(answer, list) else None for answer in error.answers]
        if not any(answers):
            raise
        tqdm.write(f"counted as replies that cannot be read: {error}")
        return [[Completion("")] * sampling.n if answer is None else answer for answer in answers]


def request_seed(seed: int, name: str) -> int:
    """A seed of its own for each name: draws are independent of each other, and
    the same after a resume.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4], "big")
