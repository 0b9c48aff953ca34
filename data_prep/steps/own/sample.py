"""Step `own`: sampled answers in the claim format, with the probability of each
claim's own tokens, judged.

For each question that the splits give to SFT, if `sft.confidence` is "own" (else the step
has nothing to do): `own.n` answers to the prompt of the claim format, the model's
log-probability of each claim, and the judge's verdict on each. Answers of the same claims
are written once, with their number.
A record of `own.jsonl`:

    {question_id, dataset, n, answers: [{count, correct, claims: [{text, logprob, label}]}]}

    n         samples of the question, those not in the claim format included
    correct   the judge's verdict on the whole answer, in [0, 1]
    logprob   sum over the tokens of the claim's text, without bullet and tag, <= 0
    label     the judge's, 0 or 1

An answer that is not well-formed teaches nothing and is left out, and so is one whose tokens
cannot be found in it, or to one of whose claims the engine gives no finite log-probability.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data_prep.ask_expert import Consultation
from data_prep.ask_model import Refused, ask, image_request
from data_prep.engines import Completion, GenerationRequest, Sampling
from data_prep.engines.token_places import span_logprob, token_places
from data_prep.questions import SourceQuestion, UnreadableImage, image_bytes
from data_prep.steps.context import Context
from data_prep.steps.step_log import Counts, Failure, Record, join
from reward_fns.claims import claim_prompt, numbered_list, parse_response
from reward_fns.errors import UserError
from reward_fns.expert import ExpertError
from reward_fns.expert.requests import TASKS, AnswerRequest, AnswerVerdict, OverallRequest, Request
from reward_fns.files import read_jsonl

TAGS = ("likelier", "drawn")


@dataclass(frozen=True)
class OwnConfig:
    """How answers are drawn, and how their confidences are fitted (`targets`).

    Attributes:
        n: answers a question.
        batch: questions that the model is given at a time.
        folds: parts of the questions for cross-fitting, >= 2.
        least_spread: a map whose confidences have a smaller standard deviation is refused.
        tags: the "likelier" one, or "drawn" with each claim's chance; see `targets`.

    Raises:
        ValueError: a value out of range, or another word for `tags`.
    """

    n: int = 4
    temperature: float = 1.0
    max_tokens: int = 256
    batch: int = 256
    folds: int = 5
    least_spread: float = 0.05
    tags: str = "likelier"

    def __post_init__(self) -> None:
        if self.tags not in TAGS:
            raise ValueError(f"own.tags is one of {', '.join(TAGS)}, got {self.tags!r}")
        if self.batch < 1 or self.folds < 2 or not 0 <= self.least_spread <= 0.5:
            raise ValueError(
                "own needs batch >= 1, folds >= 2 and 0 <= least_spread <= 0.5, got "
                f"{self.batch}, {self.folds} and {self.least_spread}"
            )
        self.sampling()

    def sampling(self) -> Sampling:
        """As the model is asked: the drawn token's log-probability is what is wanted."""
        return Sampling(self.temperature, self.max_tokens, self.n, top_logprobs=1)


@dataclass(frozen=True)
class OwnSettings:
    """What the steps `own` and `targets` read of the configuration.

    Attributes:
        own: their own section.
        wanted: whether SFT takes its confidences from here (`sft.confidence` is "own").
        judge: `sft.judge`, the configuration of an expert; None where none is named.
        workers: `sft.workers`, requests to the judge under way at a time.
    """

    own: OwnConfig
    wanted: bool
    judge: Any = None
    workers: int = 8


def identity(context: Context, settings: OwnSettings) -> Mapping[str, Any]:
    """The weights that answer, the format, and who judges."""
    judge = settings.judge
    if not settings.wanted or judge is None:
        return {}
    requests: list[Request[Any]] = [AnswerRequest("", task, (), "") for task in TASKS]
    requests += [OverallRequest("", task, "") for task in TASKS]
    return {
        "model": context.engine().fingerprint,
        "claims": claim_prompt(""),
        "judge": [context.expert_identity(judge, request) for request in requests],
    }


@dataclass
class _Draft:
    """A question on its way to a record; with a `failure` nobody is asked about it any more."""

    question: SourceQuestion
    image: bytes = b""
    n: int = 0
    answers: Sequence[Record] = ()
    failure: Failure | None = None

    def fail(self, reason: str, detail: str = "", again: bool = False) -> None:
        self.failure = Failure(
            self.question.dataset, self.question.question_id, reason, detail, again
        )

    def take(self, completions: list[Completion] | Refused) -> None:
        """The model's answers."""
        if isinstance(completions, Refused):
            self.fail("refused by the model", completions.reason)
            return
        self.n = len(completions)
        self.answers = _distinct(completions)
        if not self.answers:
            self.fail(
                "no answer in the claim format",
                f"none of {self.n} is well-formed, each claim with a log-probability",
            )

    def request(self, answer: Record) -> AnswerRequest:
        """To the judge."""
        claims = tuple(claim["text"] for claim in answer["claims"])
        asked = self.question
        return AnswerRequest(
            asked.question,
            asked.task,
            claims,
            numbered_list(claims),
            asked.ground_truth,
            (self.image,),
        )

    def judged(self, answer: Record, verdict: AnswerVerdict | ExpertError) -> None:
        """The judge's verdict on one answer."""
        if isinstance(verdict, ExpertError):
            self.fail(f"expert: {verdict.reason}", str(verdict), again=True)
            return
        answer["correct"] = verdict.overall
        for claim, label in zip(answer["claims"], verdict.claim_labels, strict=True):
            claim["label"] = int(label)

    def record(self) -> Record:
        """The record of a draft without failure."""
        return {
            "question_id": self.question.question_id,
            "dataset": self.question.dataset,
            "n": self.n,
            "answers": list(self.answers),
        }


def run(context: Context, settings: OwnSettings) -> Counts:
    """Write `own.jsonl`.

    Raises:
        UserError: there is no judge, the engine gives no log-probabilities,
            or an expert cannot go on.
    """
    log = context.log()
    if not settings.wanted:
        return log.finish()
    if settings.judge is None:
        raise UserError(
            "sft.confidence=own needs sft.judge: name an expert, such as {kind: "
            "openai, model: gpt-4o}"
        )
    n_inputs = sum(record["split"] == "sft" for record in read_jsonl(context.run / "splits.jsonl"))
    context = replace(context, total=n_inputs)
    with Consultation(context.expert(settings.judge), settings.workers) as consultation:
        for chunk in context.progress(log, log.chunks(_inputs(context), settings.own.batch)):
            drafts = [_Draft(question) for question in chunk]
            _ask_model(context, drafts, settings.own.sampling())
            _ask_judge(consultation, drafts)
            log.write([draft.failure or draft.record() for draft in drafts])
    return log.finish()


def _inputs(context: Context) -> Iterator[SourceQuestion]:
    for question, (split,) in join(context.questions(), context.run / "splits.jsonl"):
        if split is not None and split["split"] == "sft":
            yield question


def _ask_model(context: Context, drafts: Sequence[_Draft], sampling: Sampling) -> None:
    requests: list[GenerationRequest] = []
    asked: list[_Draft] = []
    for draft in drafts:
        try:
            draft.image = image_bytes(draft.question)
        except UnreadableImage as error:
            draft.fail("unreadable image", str(error))
            continue
        seed = context.seed(draft.question.question_id)
        text = claim_prompt(draft.question.question)
        requests.append(image_request(text, draft.image, seed))
        asked.append(draft)
    answers = ask(context.engine(), requests, sampling)
    for draft, completions in zip(asked, answers, strict=True):
        draft.take(completions)


def _ask_judge(consultation: Consultation, drafts: Sequence[_Draft]) -> None:
    pairs = [
        (draft, answer) for draft in drafts if draft.failure is None for answer in draft.answers
    ]
    verdicts = consultation.ask([draft.request(answer) for draft, answer in pairs])
    for (draft, answer), verdict in zip(pairs, verdicts, strict=True):
        draft.judged(answer, verdict)


def _distinct(completions: Sequence[Completion]) -> list[Record]:
    """Well-formed answers, those of the same claims once, in the order of
    their first appearance.
    """
    found: dict[tuple[str, ...], Record] = {}
    for completion in completions:
        parsed = parse_response(completion.text, spans=True)
        if not parsed.well_formed:
            continue
        key = tuple(claim.text for claim in parsed.claims)
        if key in found:
            found[key]["count"] += 1
            continue
        try:
            places = token_places(completion.text, completion.tokens)
        except UserError:
            continue  # without its tokens an answer says nothing of its own chance
        spans = [claim.text_span for claim in parsed.claims if claim.text_span is not None]
        logprobs = [round(span_logprob(span, places, completion.tokens), 6) for span in spans]
        if not all(map(math.isfinite, logprobs)):
            continue  # likewise
        claims = [
            {"text": claim.text, "logprob": logprob, "label": None}
            for claim, logprob in zip(parsed.claims, logprobs, strict=True)
        ]
        found[key] = {"count": 1, "correct": None, "claims": claims}
    return list(found.values())
