"""Step `sample`: n candidate answers a question (paper 3.1: ten).

Equal answers are written once, with their number, in the order of their first appearance. An
answer without a visible character is counted as empty and is no candidate; a question whose
answers are all empty is dropped.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_prep.ask_model import Refused, ask, image_request
from data_prep.engines import Completion, GenerationRequest, Sampling
from data_prep.questions import SourceQuestion, UnreadableImage, image_bytes
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Failure, Record
from reward_fns.claims import claim_prompt

PROMPTS = ("plain", "claims")


@dataclass(frozen=True)
class SampleConfig:
    """How candidates are drawn.

    Attributes:
        prompt: "plain", the question as it is (the paper's), or "claims", with the
            instruction of the claim format.
        batch: questions that the model is given at a time.

    Raises:
        ValueError: a value out of range.
    """

    n: int = 10
    temperature: float = 1.0
    max_tokens: int = 256
    prompt: str = "plain"
    batch: int = 256

    def __post_init__(self) -> None:
        if self.prompt not in PROMPTS:
            raise ValueError(f"sample.prompt is one of {', '.join(PROMPTS)}, got {self.prompt!r}")
        if self.batch < 1:
            raise ValueError(f"sample.batch must be at least 1, got {self.batch}")
        self.sampling()

    def sampling(self) -> Sampling:
        """As the model is asked."""
        return Sampling(self.temperature, self.max_tokens, self.n)


def identity(context: Context, settings: SampleConfig) -> Mapping[str, Any]:
    """The weights that answer."""
    return {"model": context.engine().fingerprint, "claims": claim_prompt("")}


def run(context: Context, settings: SampleConfig) -> Counts:
    """Write `candidates.jsonl`."""
    log = context.log()
    for questions in context.progress(log, log.chunks(context.questions(), settings.batch)):
        entries: list[Record | Failure | None] = []
        requests: list[GenerationRequest] = []
        for question in questions:
            try:
                image = image_bytes(question)
            except UnreadableImage as error:
                entries.append(
                    Failure(question.dataset, question.question_id, "unreadable image", str(error))
                )
                continue
            text = (
                claim_prompt(question.question)
                if settings.prompt == "claims"
                else question.question
            )
            requests.append(image_request(text, image, context.seed(question.question_id)))
            entries.append(None)
        answers = iter(ask(context.engine(), requests, settings.sampling()))
        log.write(
            [
                _record(question, next(answers)) if entry is None else entry
                for question, entry in zip(questions, entries, strict=True)
            ]
        )
    return log.finish()


def _record(question: SourceQuestion, answers: list[Completion] | Refused) -> Record | Failure:
    if isinstance(answers, Refused):
        return Failure(
            question.dataset, question.question_id, "refused by the model", answers.reason
        )
    texts = [answer.text.strip().encode(errors="replace").decode() for answer in answers]
    counts = Counter(text for text in texts if text)
    if not counts:
        return Failure(
            question.dataset,
            question.question_id,
            "empty answers",
            f"all {len(texts)} answers are empty",
        )
    return {
        "question_id": question.question_id,
        "dataset": question.dataset,
        "candidates": [{"text": text, "count": count} for text, count in counts.items()],
        "empty": len(texts) - counts.total(),
    }
