"""Step `label`: categorical evaluation (paper 3.1): how the Worse answer relates to the Better one.

The expert is given the question and the two answers, neither the image nor the reference, as in
A.8. A verdict that cannot be read even after the expert's own retries, and a failed request,
leave the label null with the reason; the next run of the step asks for those again, and finds all
others in the expert's cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_prep.ask_expert import Consultation
from data_prep.questions import SourceQuestion
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Record, join
from reward_fns.expert import ExpertError
from reward_fns.expert.requests import PairRequest, PairVerdict


@dataclass(frozen=True)
class LabelConfig:
    """The expert: what `reward_fns.expert.make_expert` takes, and how many requests
    are under way at a time.
    """

    expert: Any = "oracle"
    concurrency: int = 16

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"label.concurrency must be at least 1, got {self.concurrency}")


def identity(context: Context, settings: LabelConfig) -> Mapping[str, Any]:
    """Who judges, by which instructions."""
    return context.expert_identity(settings.expert, PairRequest("", "QA", "", ""))


def run(context: Context, settings: LabelConfig) -> Counts:
    """Write `labels.jsonl`."""
    log = context.log()
    pairs = (
        (q, p)
        for q, (p,) in join(context.questions(images=False), context.run / "pairs.jsonl")
        if p is not None
    )
    with Consultation(context.expert(settings.expert), settings.concurrency) as consultation:
        for chunk in context.progress(log, log.chunks(pairs, consultation.batch)):
            requests = [
                _request(question, pair) for question, pair in chunk if pair["reason"] is None
            ]
            answers = iter(consultation.ask(requests))
            name = consultation.expert.name
            log.write(
                [
                    _record(p, next(answers) if p["reason"] is None else p["reason"], name)
                    for _, p in chunk
                ]
            )
    return log.finish()


def _request(question: SourceQuestion, pair: Mapping[str, Any]) -> PairRequest:
    return PairRequest(question.question, question.task, pair["better"], pair["worse"])


def _record(
    pair: Mapping[str, Any], answer: PairVerdict | ExpertError | str, expert: str
) -> Record:
    record: Record = {
        "question_id": pair["question_id"],
        "dataset": pair["dataset"],
        "label": None,
        "reason": None,
        "expert": None,
        "prompt_version": None,
    }
    if isinstance(answer, str):
        return record | {"reason": answer}
    if isinstance(answer, ExpertError):
        return record | {
            "reason": f"expert: {answer.reason}",
            "expert": expert,
            "detail": str(answer),
            "again": True,
        }
    source = answer.source
    return record | {
        "label": answer.label,
        "expert": source.model,
        "prompt_version": source.prompt_version,
    }
