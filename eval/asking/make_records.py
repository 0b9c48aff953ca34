"""From models and a file of questions to record files: answers, then each
protocol's confidences, resumable.

One model after the other, so that one is in memory at a time. What exists and was made with the
same settings is kept; what was made with others is set aside (see `settings`) and made anew. A
model whose files are whole is not loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.engines import Engine, NoLogprobs, open_engine
from data_prep.verl_rows import Question, load_questions
from eval.asking import answers
from eval.asking.answers import Decoding, answer_questions, is_whole
from eval.asking.replicas import batch_of, with_replicas
from eval.asking.shown_images import AS_IS, ShownImages
from eval.decoding import MethodByName, with_decoding
from eval.naming.out_paths import check_out_directory
from eval.protocols import (
    BY_EQUIVALENCE,
    FROM_PROBABILITIES,
    PROTOCOLS,
    Asked,
    ConfidenceProtocol,
    Options,
)
from eval.protocols.equivalence import make_equivalence
from eval.records import (
    MOST_TRUNCATED,
    answers_path,
    file_sha256,
    read_answers,
    records_path,
    settings_path,
    truncated_share,
)
from eval.records.settings import judge_settings, keep_settings, set_aside
from reward_fns.accuracy import RULES
from reward_fns.errors import UserError
from reward_fns.expert import Expert, ExpertError, make_expert
from reward_fns.expert.oracle import OracleExpert
from reward_fns.expert.requests import AnswerRequest, ClaimRequest, OverallRequest
from reward_fns.files import JsonlLog, alone_in
from reward_fns.lenient import THINKING

_NONE_RECORDED = (
    "no answer in {answers} has the token probability that it reads: the engine gives none, or the "
    "answers were made before this protocol was; to sample anew move the file away"
)


@dataclass(frozen=True)
class Plan:
    """What is asked of every model.

    Attributes:
        questions: verl parquet; `limit` keeps the first so many of each dataset, None all.
        out: directory of the record files; copies of merged models go to `out/models`.
        protocols: names of `protocols.PROTOCOLS`.
        expert: see `reward_fns.expert.make_expert`; correctness: one of `correctness.CORRECTNESS`.
        sc_samples: k of SC.
        equivalence: see `protocols.equivalence.make_equivalence`.
        thinking: tags of a thinking block before the answer, as the reward's option of that name.
        images: what the model is shown, one of `shown_images.IMAGES`.
        replicas: of each model that vLLM loads; None for one a visible GPU.
        method: how transformers decodes; None for the model as it is, by any engine.
        coverage: share of the answers that must be judged, in (0, 1], see `left_out`.
    """

    questions: Path
    out: Path
    protocols: Sequence[str]
    decoding: Decoding
    expert: str | Mapping[str, Any] = "oracle"
    correctness: str = "expert"
    sc_samples: int = 10
    equivalence: str = "text"
    limit: int | None = None
    thinking: tuple[str, str] | None = None
    images: str = AS_IS
    replicas: int | None = None
    method: MethodByName | None = None
    coverage: float = 1.0

    @property
    def method_settings(self) -> dict[str, str]:
        """For the records' settings; nothing for plain decoding, so that older records stay."""
        return {} if self.method is None else self.method.settings


def calibrate(models: Mapping[str, str | Mapping[str, Any]], plan: Plan) -> list[Path]:
    """Write answers and confidences of every model; what is there already is not asked again.

    Args:
        models: name -> what `data_prep.engines.open_engine` takes.

    Returns:
        The protocols' files.

    Raises:
        UserError: a model, the questions or the expert's configuration is
            wrong, or the expert failed.
    """
    try:
        expert = make_expert(plan.expert)
    except ValueError as error:
        raise UserError(str(error)) from error
    check_out_directory(plan.out)
    with alone_in(plan.out):
        return _calibrate(models, plan, expert)


def _calibrate(
    models: Mapping[str, str | Mapping[str, Any]], plan: Plan, expert: Expert
) -> list[Path]:
    if plan.thinking is not None and plan.thinking not in THINKING:
        known = ", ".join(" ".join(tags) for tags in THINKING)
        raise UserError(f"--thinking {' '.join(plan.thinking)}: the protocols read {known}")
    if plan.method is not None:
        plan.method.check_temperature(plan.decoding.temperature)
    questions = load_questions(plan.questions, plan.limit)
    _check_references(expert, questions, plan.correctness)
    shown = ShownImages(plan.images, questions, plan.decoding.seed)
    shared = {
        **shown.settings,
        **plan.method_settings,
        "questions_sha256": file_sha256(plan.questions),
        "limit": plan.limit,
        "expert": expert.name,
        **judge_settings(expert),
        "expert_version": _instructions(expert, questions),
        "correctness": plan.correctness,
        "thinking": plan.thinking and list(plan.thinking),
    }
    protocols = _protocols(plan, expert)
    # All models are checked, and outdated answers set aside, before the first long run.
    configs = {
        name: with_replicas(with_decoding(config, plan.method), plan.replicas)
        for name, config in models.items()
    }
    engines = {name: open_engine(config, plan.out / "models") for name, config in configs.items()}
    for name, engine in engines.items():
        settings = {**asdict(plan.decoding), **shared, "model_sha256": engine.fingerprint}
        keep_settings(answers_path(plan.out, name), settings)
    paths: list[Path] = []
    for name, engine in engines.items():
        with engine:
            batch_size = batch_of(configs[name])
            paths += _one_model(name, engine, questions, expert, plan, protocols, shown, batch_size)
    return paths


def _protocols(plan: Plan, expert: Expert) -> dict[str, ConfidenceProtocol]:
    """What is asked of every model, checked before the first long run. A model of
    equivalence is loaded if used.
    """
    options = Options(plan.decoding.seed, plan.decoding.max_tokens, plan.sc_samples)
    if set(BY_EQUIVALENCE) & set(plan.protocols):
        options = replace(options, equivalence=make_equivalence(plan.equivalence, expert))
    return {name: PROTOCOLS[name](options) for name in plan.protocols}


def _instructions(expert: Expert, questions: Sequence[Question]) -> list[str]:
    """Versions of all instructions by which the expert judges answers to these questions,
    sorted; [] if it has none.
    """
    version = getattr(expert, "prompt_version", None)
    if not callable(version):
        return []
    versions: set[str] = set()
    images = (b"",)  # every question has one, and instructions depend on how many, not on which
    for task in {question.task for question in questions}:
        versions |= {
            version(AnswerRequest("", task, ("",), "", None, images)),
            version(ClaimRequest("", task, "", "", None, images)),
            version(OverallRequest("", task, "", None, images)),
        }
    return sorted(versions)


def _check_references(expert: Expert, questions: Sequence[Question], correctness: str) -> None:
    """An oracle must be able to read the references: found out here, it
    costs no model's answers.
    """
    if not isinstance(expert, OracleExpert):
        return
    for question in questions:
        if correctness == "dataset" and question.answers and question.dataset in RULES:
            continue
        try:
            expert.check(question.ground_truth, question.question, question.task)
        except ExpertError as error:
            raise UserError(f"question {question.question_id}: {error} (--expert)") from error


def _one_model(
    name: str,
    engine: Engine,
    questions: Sequence[Question],
    expert: Expert,
    plan: Plan,
    protocols: Mapping[str, ConfidenceProtocol],
    shown: ShownImages,
    batch_size: int,
) -> list[Path]:
    path = answers_path(plan.out, name)
    log = JsonlLog(path, key=answers.line_key)
    if not is_whole(questions, log, plan.decoding, plan.coverage):
        answer_questions(
            model=name,
            engine=engine,
            questions=questions,
            log=log,
            expert=expert,
            correctness=plan.correctness,
            decoding=plan.decoding,
            thinking=plan.thinking,
            shown=shown,
            batch_size=batch_size,
            coverage=plan.coverage,
        )
    log.finish()
    by_id = {question.question_id: question for question in questions}
    asked = [Asked(by_id[answer.question_id], answer) for answer in read_answers(path)]
    answers_sha256 = file_sha256(path)
    _warn_of_truncation(name, asked, plan.decoding.max_tokens)
    paths = []
    for protocol_name, protocol in protocols.items():
        target = records_path(plan.out, name, protocol_name)
        if protocol_name in FROM_PROBABILITIES and not _recorded(asked, protocol_name):
            _leave_out(target, _NONE_RECORDED.format(answers=path))
            continue
        keep_settings(
            target,
            {
                "protocol": protocol_name,
                "seed": plan.decoding.seed,
                "model_sha256": engine.fingerprint,
                "answers_sha256": answers_sha256,
                **shown.settings,
                **plan.method_settings,
                **protocol.settings,
            },
        )
        title = f"{name} {protocol_name}"
        try:
            _one_protocol(title, protocol, engine, asked, target, shown, batch_size)
        except NoLogprobs as error:
            _leave_out(target, str(error))
            continue
        paths.append(target)
    return paths


def _recorded(asked: Sequence[Asked], protocol: str) -> bool:
    return any(protocol in item.answer.probabilities for item in asked)


def _leave_out(target: Path, why: str) -> None:
    """Say so, and leave no records of other answers behind, nor settings of none."""
    set_aside(target)
    settings_path(target).unlink(missing_ok=True)
    print(f"{target}: left out: {why}")


def _warn_of_truncation(name: str, asked: Sequence[Asked], max_tokens: int) -> None:
    share = truncated_share(item.answer for item in asked)
    if share is not None and share > MOST_TRUNCATED:
        print(
            f"{name}: {share:.1%} of the answers were cut off at --max-tokens {max_tokens}: "
            "they state no confidence; raise it"
        )


def _one_protocol(
    title: str,
    protocol: ConfidenceProtocol,
    engine: Engine,
    asked: Sequence[Asked],
    target: Path,
    shown: ShownImages,
    batch_size: int,
) -> None:
    log = JsonlLog(target, key=answers.line_key)
    failures = 0
    with tqdm(total=len(asked), initial=len(log.done), desc=title, unit="answer") as progress:
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            if all(item.answer.key in log.done for item in batch):
                continue
            batch = [replace(item, question=shown(item.question)) for item in batch]
            try:
                confidences = protocol.confidences(engine, batch)
            except NoLogprobs as error:
                if log.done:  # it gave them before: what is there is kept, and the next run goes on
                    raise UserError(str(error)) from error
                raise
            found = [c for c in confidences if c.key not in log.done]
            failures += sum(c.confidence is None for c in found)
            log.append(asdict(confidence) for confidence in found)
            progress.update(len(found))
    log.finish()
    unread = (
        f", {failures} of the new ones without a confidence that can be read" if failures else ""
    )
    print(f"{target}: {len(log.done)} answers{unread}")
