"""The answers of a model: sampled once, judged once, written to
`MODEL.answers.jsonl` for all protocols.

The prompt is the parquet's own (it holds the format instruction), so it is the prompt of the
rollouts. Temperature 1 samples the policy as rollouts do; 0 is greedy. Questions go in batches
that a resume does not cut differently, so that it gives the same answers to the last digit.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm import tqdm

from data_prep.engines import Completion, Engine, GenerationRequest, NoLogprobs, Sampling
from data_prep.verl_rows import Question
from eval.asking.correctness import Judgement, judge
from eval.protocols import ask, request_seed
from eval.protocols.direct import probability_tokens, token_probabilities
from eval.protocols.tags import tag_probabilities
from eval.records import ANSWERS, Answer, answer_key
from eval.records.left_out import LASTING, is_enough, keys_of, read_left_out, write_left_out
from reward_fns.errors import UserError
from reward_fns.expert import Expert
from reward_fns.files import JsonlLog

BATCH = 256  # questions between two writes
_TOP = 5  # most probable tokens listed: "sure" and "not" are among them, or the tag says nothing
_Drawn = tuple[Question, int, Completion]
"""One sampled answer: its question, the number of the sample, what the model wrote."""


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded; raises UserError for values out of range."""

    temperature: float  # >= 0
    max_tokens: int  # >= 1
    seed: int
    samples: int = 1  # answers a question, >= 1

    def __post_init__(self) -> None:
        if not self.temperature >= 0 or self.max_tokens < 1 or self.samples < 1:
            values = f"{self.temperature}, {self.max_tokens} and {self.samples}"
            raise UserError(
                f"temperature must be at least 0, max-tokens and samples at least 1, got {values}"
            )


def answer_questions(
    model: str,
    engine: Engine,
    questions: Sequence[Question],
    log: JsonlLog,
    expert: Expert,
    correctness: str,
    decoding: Decoding,
    thinking: tuple[str, str] | None = None,
    shown: Callable[[Question], Question] = lambda question: question,
    batch_size: int | None = None,
    coverage: float = 1.0,
) -> None:
    """Append the answers that the log lacks, batch by batch.

    Args:
        coverage: share of the answers that must be judged, in (0, 1], see `left_out`.
        thinking: see `correctness.judge`.
        shown: the question as the model is asked it (`shown_images`); it is judged as
            it stands in `questions`.
        batch_size: questions between two writes; None for `BATCH`.

    Raises:
        UserError: the expert failed on more answers than may be left out, or for a reason that
            passes; all others are kept and the next run asks for the rest. At once if no later
            request can succeed either.
    """
    failures: list[tuple[_Drawn, Judgement]] = []
    step = batch_size or BATCH
    logprobs = True
    n_answers = len(questions) * decoding.samples
    before = read_left_out(log.path, n_answers, coverage)
    with tqdm(
        total=n_answers, initial=len(log.done), desc=f"{model} {ANSWERS}", unit="answer"
    ) as progress:
        for start in range(0, len(questions), step):
            batch = questions[start : start + step]
            missing = _missing(batch, log, decoding) - keys_of(before)
            if not missing:
                continue
            completions, logprobs = _sample(engine, list(map(shown, batch)), decoding, logprobs)
            drawn = [
                (question, sample, completion)
                for question, of_question in zip(batch, completions, strict=True)
                for sample, completion in enumerate(of_question)
                if answer_key(question.question_id, sample) in missing
            ]
            # A loop of its own for each batch: nothing of the expert's connections outlives it.
            judged = asyncio.run(_judge(drawn, expert, correctness, thinking))
            found = [
                _answer(model, question, sample, completion, judgement)
                for (question, sample, completion), judgement in zip(drawn, judged, strict=True)
                if judgement.error is None
            ]
            log.append(asdict(answer) for answer in found)
            progress.update(len(found))
            failures += [
                pair for pair in zip(drawn, judged, strict=True) if pair[1].error is not None
            ]
            if any(judgement.fatal for judgement in judged):
                break
    _settle(model, log, expert, before, failures, n_answers, coverage)


def _settle(
    model: str,
    log: JsonlLog,
    expert: Expert,
    before: Sequence[Mapping[str, Any]],
    failures: Sequence[tuple[_Drawn, Judgement]],
    n_answers: int,
    coverage: float,
) -> None:
    """What becomes of the answers without a verdict: left out where they may be, else an error."""
    entries = [*before, *(_without_verdict(*pair) for pair in failures)]
    n_judged = n_answers - len(entries)
    ended = any(judgement.fatal for _, judgement in failures)
    lasting = not ended and all(entry["reason"] in LASTING for entry in entries)
    if failures and not (lasting and is_enough(n_judged, n_answers, coverage)):
        option = _coverage_option(n_judged, n_answers) if lasting else ""
        raise UserError(
            f"the expert {expert.name} failed on {len(failures)} of {n_answers} answers of "
            f"{model} (first: {failures[0][1].error}); {len(log.done)} are kept, run the same "
            f"command again for the rest{option}"
        )
    write_left_out(log.path, model, n_answers, entries)


def _without_verdict(drawn: _Drawn, judgement: Judgement) -> dict[str, Any]:
    question, sample, completion = drawn
    return {
        "question_id": question.question_id,
        "sample": sample,
        "dataset": question.dataset,
        "reason": judgement.reason or "other",
        "error": judgement.error,
        "response": completion.text,
    }


def _coverage_option(n_judged: int, n_answers: int) -> str:
    """What else may be done about answers that never get a verdict; "" if none got one."""
    share = math.floor(1000 * n_judged / n_answers) / 1000
    return f", or leave them out by --coverage {share:g}" if share > 0 else ""


def is_whole(
    questions: Sequence[Question], log: JsonlLog, decoding: Decoding, coverage: float = 1.0
) -> bool:
    """Whether every question has all its answers, those aside that are left out."""
    n_answers = len(questions) * decoding.samples
    return _missing(questions, log, decoding) <= keys_of(
        read_left_out(log.path, n_answers, coverage)
    )


def _missing(questions: Sequence[Question], log: JsonlLog, decoding: Decoding) -> set[str]:
    return {
        answer_key(q.question_id, sample) for q in questions for sample in range(decoding.samples)
    } - log.done


def _sample(
    engine: Engine, questions: Sequence[Question], decoding: Decoding, logprobs: bool
) -> tuple[list[list[Completion]], bool]:
    """The answers, and whether the engine gives log-probabilities: if it does
    not, they do without.
    """
    requests = [
        GenerationRequest(q.messages, request_seed(decoding.seed, q.question_id), q.image)
        for q in questions
    ]
    sampling = Sampling(decoding.temperature, decoding.max_tokens, decoding.samples)
    if logprobs:
        try:
            return ask(engine, requests, replace(sampling, top_logprobs=_TOP)), True
        except NoLogprobs as error:
            tqdm.write(f"answers without token probabilities: {error}")
    return ask(engine, requests, sampling), False


async def _judge(
    drawn: Sequence[_Drawn], expert: Expert, correctness: str, thinking: tuple[str, str] | None
) -> list[Judgement]:
    return await asyncio.gather(
        *(
            judge(question, completion.text, expert, correctness, thinking)
            for question, _, completion in drawn
        )
    )


def _answer(
    model: str, q: Question, sample: int, completion: Completion, judgement: Judgement
) -> Answer:
    parsed = judgement.parsed
    return Answer(
        model=model,
        dataset=q.dataset,
        task=q.task,
        question_id=q.question_id,
        question=q.question,
        image_id=q.image_id,
        entity=q.entity,
        response=completion.text,
        correct=judgement.correct,
        well_formed=parsed.well_formed,
        expert=judgement.judge,
        claims=[{"text": claim.text, "sure": claim.sure} for claim in parsed.claims],
        claim_labels=list(judgement.claim_labels),
        defects=list(parsed.defects),
        expert_version=judgement.version,
        stated_confidence=judgement.confidence,
        reading=list(judgement.lenient.forms) if judgement.lenient is not None else [],
        sample=sample,
        subset=q.subset,
        share_true=q.share_true,
        vote_margin=q.vote_margin,
        entity_rarity=q.entity_rarity,
        probabilities=token_probabilities(completion),
        tag_probabilities=tag_probabilities(completion, parsed.claims),
        probability_tokens=probability_tokens(completion),
        finish_reason=completion.finish_reason,
    )


def line_key(line: Mapping[str, Any]) -> str:
    """Names the answer that a line of a record file is about."""
    return answer_key(str(line["question_id"]), int(line["sample"]))
