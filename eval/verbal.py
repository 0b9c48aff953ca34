"""The Verbal protocol for the trained format: the model answers in claims and states its own overall confidence.

The prompt is the parquet's own (it holds the format instruction), so it is the prompt of the rollouts. Temperature 1
samples the policy as rollouts do; 0 is greedy. Parsing and judging are the reward's own (`reward_fns.judging`), so that
reward and evaluation cannot drift apart. A confidence that cannot be read stays None and is counted by the report.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from data_prep.engines import Engine, GenerationRequest, Sampling
from data_prep.questions import Question
from eval.records import VERBAL, AnswerRecord, RecordLog
from reward_fns.errors import UserError
from reward_fns.expert import Expert
from reward_fns.judging import JudgedResponse, judge_response

_BATCH = 256  # questions between two writes


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded; raises UserError for values out of range."""

    temperature: float  # >= 0
    max_tokens: int  # >= 1
    seed: int
    samples: int = 1  # answers a question, >= 1

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.max_tokens < 1 or self.samples < 1:
            values = f"{self.temperature}, {self.max_tokens} and {self.samples}"
            raise UserError(f"temperature must be at least 0, max-tokens and samples at least 1, got {values}")


def request_seed(seed: int, question_id: str) -> int:
    """A seed of its own for each question: draws are independent between questions and the same after a resume."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{question_id}".encode()).digest()[:4], "big")


def answer(
    model: str, engine: Engine, questions: Sequence[Question], log: RecordLog, expert: Expert, decoding: Decoding
) -> None:
    """Ask `questions` (those not in the log yet) and append their records in batches, a question's samples in a row.

    Raises:
        UserError: the expert failed on some answers; the other questions are kept and the next run asks for the rest.
    """
    failures: list[str] = []
    with tqdm(total=len(questions), desc=f"{model} {VERBAL}", unit="question") as progress:
        for start in range(0, len(questions), _BATCH):
            batch = questions[start : start + _BATCH]
            seeds = [request_seed(decoding.seed, q.question_id) for q in batch]
            requests = [GenerationRequest(q.messages, seed, q.image) for q, seed in zip(batch, seeds, strict=True)]
            answers = engine.generate(requests, Sampling(decoding.temperature, decoding.max_tokens, decoding.samples))
            asked = [q for q, samples in zip(batch, answers, strict=True) for _ in samples]
            responses = [completion.text for samples in answers for completion in samples]
            judged = asyncio.run(_judge(asked, responses, expert))
            failures += [item.error for item in judged if item.error is not None]
            log.append(_records(model, asked, responses, judged, expert))
            progress.update(len(batch))
    if failures:
        raise UserError(
            f"the expert {expert.name} failed on {len(failures)} of {len(questions) * decoding.samples} answers of "
            f"{model} (first: {failures[0]}); the others are kept, run the same command again for the rest"
        )


async def _judge(questions: Sequence[Question], responses: Sequence[str], expert: Expert) -> list[JudgedResponse]:
    return await asyncio.gather(
        *(
            judge_response(
                response=response,
                question=q.question,
                task=q.task,
                ground_truth=q.ground_truth,
                image=q.image,
                expert=expert,
            )
            for q, response in zip(questions, responses, strict=True)
        )
    )


def _records(
    model: str,
    questions: Sequence[Question],
    responses: Sequence[str],
    judged: Sequence[JudgedResponse],
    expert: Expert,
) -> Iterable[AnswerRecord]:
    """A record for each answer of the questions on which the expert did not fail.

    An answer without readable claims is wrong, not left out.
    """
    failed = {q.question_id for q, item in zip(questions, judged, strict=True) if item.error is not None}
    sample: Counter[str] = Counter()
    for q, response, item in zip(questions, responses, judged, strict=True):
        if q.question_id in failed:
            continue
        sample[q.question_id] += 1
        yield AnswerRecord(
            model=model,
            protocol=VERBAL,
            dataset=q.dataset,
            task=q.task,
            question_id=q.question_id,
            question=q.question,
            image_id=q.image_id,
            entity=q.entity,
            response=response,
            claims=[{"text": claim.text, "sure": claim.sure} for claim in item.parsed.claims],
            claim_labels=list(item.verdict.claim_labels) if item.verdict else [],
            confidence=item.parsed.confidence,
            correct=item.correct,
            well_formed=item.parsed.well_formed,
            defects=list(item.parsed.defects),
            expert=item.verdict.source.model if item.verdict else expert.name,
            sample=sample[q.question_id] - 1,
        )
