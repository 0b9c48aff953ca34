"""Step `sft`: answers taken apart into facts, each tagged by whether it holds, with
one confidence (paper A.3).

For each question that the splits give to SFT:

1. the answer is the most frequent of its samples (`answers.most_frequent`);
2. the extractor takes it apart into atomic facts; an answer in the claim format brings its own;
3. the rewriter makes a question of each fact, which the model answers, seeing the image;
4. the verifier decides by question and answer whether the fact holds: "I'm sure." if it
   does, "I'm not sure." if not;
5. the confidence is, by `sft.confidence`,

    facts     verified facts / facts, to two decimals (the paper's)
    samples   (right + 1) / (n + 2) over the question's n samples, to one decimal; `right`
              is the sum of the judge's verdicts in [0, 1]. For answers of one fact: there
              the share of verified facts is 0 or 1, and a model that is trained on it
              states nothing in between.
    own       each answer's own chance to be right, by the model's own probability of its claims,
              to one decimal (steps `own` and `targets`). What trains is then `targets.jsonl`; the
              text here has the confidence of `samples`.

Extractor, rewriter, verifier and judge are experts, each an endpoint of its
own (`reward_fns.expert.make_expert`); `workers` questions are at work at a
time. A record of `sft.jsonl`:

    {question_id, dataset, answer, n, count, facts: [{fact, question, answer, true}],
     confidence, samples, correct, certain, text}

    n, count    samples of the question, and those equal to the answer
    samples     [{count, correct}] of its distinct readable answers; [] without a judge
    correct     the judge's verdict on the answer, null without a judge
    certain     R-Tuning's (`r_tuning.certain`), null without a judge
    text        what SFT trains, in the claim format
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from data_prep.ask_expert import AnyVerdict, Consultation
from data_prep.ask_model import ask, image_request
from data_prep.engines import Sampling
from data_prep.questions import SourceQuestion
from data_prep.steps.context import Context
from data_prep.steps.sft_draft import Draft
from data_prep.steps.step_log import Counts, Record, join
from reward_fns.claims import claim_prompt
from reward_fns.errors import UserError
from reward_fns.expert import ExpertError
from reward_fns.expert.requests import (
    TASKS,
    AnswerRequest,
    FactQuestionRequest,
    FactRequest,
    FactsRequest,
    OverallRequest,
    Request,
)
from reward_fns.files import read_jsonl

CONFIDENCES = ("facts", "samples", "own")
ROLES = ("extractor", "rewriter", "verifier", "judge")


@dataclass(frozen=True)
class SftConfig:
    """Who does what, and how the model is asked about its facts.

    Attributes:
        extractor, rewriter, verifier: expert configurations; the extractor is not asked if
            `sample.prompt` is "claims".
        judge: verdict on a whole sampled answer; needed for the confidences "samples" and
            "own", and for R-Tuning.
        workers: questions at work at a time.
        batch: questions between two writes.

    Raises:
        ValueError: a value out of range.
    """

    confidence: str = "facts"
    extractor: Any = None
    rewriter: Any = None
    verifier: Any = None
    judge: Any = None
    workers: int = 8
    temperature: float = 0.0
    max_tokens: int = 64
    batch: int = 64

    def __post_init__(self) -> None:
        if self.confidence not in CONFIDENCES:
            raise ValueError(
                f"sft.confidence is one of {', '.join(CONFIDENCES)}, got {self.confidence!r}"
            )
        if self.workers < 1 or self.batch < 1:
            raise ValueError(
                f"sft.workers and sft.batch must be at least 1, got {self.workers} and {self.batch}"
            )
        self.sampling()

    def sampling(self) -> Sampling:
        """How the model is asked about a fact."""
        return Sampling(self.temperature, self.max_tokens)


@dataclass(frozen=True)
class SftSettings:
    """What the step reads of the configuration.

    Attributes:
        sft: its own section.
        prompt: `sample.prompt`, the form in which the candidates were asked for.
    """

    sft: SftConfig
    prompt: str


def identity(context: Context, settings: SftSettings) -> Mapping[str, Any]:
    """The weights that answer, the format, and who takes which role by which instructions."""
    requests: list[tuple[str, Request[Any]]] = [
        ("extractor", FactsRequest("", "")),
        ("rewriter", FactQuestionRequest("")),
        ("verifier", FactRequest("", "", "")),
        *(("judge", AnswerRequest("", task, (), "")) for task in TASKS),
        *(("judge", OverallRequest("", task, "")) for task in TASKS),
    ]
    experts = [
        [role, context.expert_identity(getattr(settings.sft, role), request)]
        for role, request in requests
        if getattr(settings.sft, role) is not None
    ]
    return {"model": context.engine().fingerprint, "claims": claim_prompt(""), "experts": experts}


def run(context: Context, settings: SftSettings) -> Counts:
    """Write `sft.jsonl`.

    Raises:
        UserError: a role that is needed is not set, or an expert cannot go on.
    """
    sft, prompt = settings.sft, settings.prompt
    _require_roles(sft, prompt)
    n_inputs = sum(record["split"] == "sft" for record in read_jsonl(context.run / "splits.jsonl"))
    context, log = replace(context, total=n_inputs), context.log()
    with ExitStack() as stack:
        roles = {
            role: stack.enter_context(Consultation(context.expert(getattr(sft, role)), sft.workers))
            for role in ROLES
            if getattr(sft, role) is not None
        }
        for chunk in context.progress(log, log.chunks(_inputs(context), sft.batch)):
            drafts = [Draft.start(question, record, prompt) for question, record in chunk]
            if prompt == "plain":
                _consult(drafts, roles["extractor"], Draft.facts_requests, Draft.take_facts)
            _consult(drafts, roles["rewriter"], Draft.question_requests, Draft.take_questions)
            if "judge" in roles:
                _consult(drafts, roles["judge"], Draft.judge_requests, Draft.take_verdicts)
            _ask_model(context, drafts, sft.sampling())
            _consult(drafts, roles["verifier"], Draft.fact_requests, Draft.take_truths)
            log.write([draft.failure or draft.record(sft.confidence) for draft in drafts])
    return log.finish()


def _require_roles(settings: SftConfig, prompt: str) -> None:
    needed = (
        ["extractor"] * (prompt == "plain")
        + ["rewriter", "verifier"]
        + ["judge"] * (settings.confidence != "facts")
    )
    for role in needed:
        if getattr(settings, role) is None:
            raise UserError(
                f"sft.{role} is not set: name an expert, such as {{kind: openai, model: gpt-4o}}"
            )


def _inputs(context: Context) -> Iterator[tuple[SourceQuestion, Record | None]]:
    files = (context.run / "candidates.jsonl", context.run / "splits.jsonl")
    for question, (candidates, split) in join(context.questions(), *files):
        if split is not None and split["split"] == "sft":
            yield question, candidates


def _consult(
    drafts: Sequence[Draft],
    consultation: Consultation,
    requests_of: Callable[[Draft], list[Request[AnyVerdict]]],
    take: Callable[[Draft, list[AnyVerdict]], None],
) -> None:
    """One role's requests about all drafts that have not failed, and its answers; a failed
    request fails its draft.
    """
    groups = [(draft, requests_of(draft)) for draft in drafts if draft.failure is None]
    answers = iter(consultation.ask([request for _, requests in groups for request in requests]))
    for draft, requests in groups:
        verdicts: list[AnyVerdict] = []
        for answer in islice(answers, len(requests)):
            if isinstance(answer, ExpertError):
                draft.fail(f"expert: {answer.reason}", str(answer), again=True)
            else:
                verdicts.append(answer)
        if draft.failure is None:
            take(draft, verdicts)


def _ask_model(context: Context, drafts: Sequence[Draft], sampling: Sampling) -> None:
    """The model's own answer to each fact's question."""
    alive = [draft for draft in drafts if draft.failure is None]
    requests = [
        image_request(question, draft.image, context.seed(draft.question.question_id, i))
        for draft in alive
        for i, question in enumerate(draft.questions)
    ]
    answers = iter(ask(context.engine(), requests, sampling))
    for draft in alive:
        draft.take_own(list(islice(answers, len(draft.questions))))
