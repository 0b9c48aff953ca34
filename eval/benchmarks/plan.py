"""The hallucination command: models by benchmarks, answered, judged, scored and written as tables.

All models answer first, one in memory at a time; then the judge is asked, then everything is
scored. What is there already and was made with the same settings is not made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.engines import open_engine
from eval.asking.answers import Decoding
from eval.asking.replicas import batch_of, with_replicas
from eval.benchmarks.confidence_scores import CurvePair, compare_curves
from eval.benchmarks.differences import PairedDifference, against_first
from eval.benchmarks.loading import Benchmark, Mmhal, ObjHal, first, load
from eval.benchmarks.rates import Rate
from eval.benchmarks.results import Judging, ModelScores, score_model
from eval.benchmarks.stored_answers import (
    StoredAnswer,
    answer_items,
    open_log,
    questions_digest,
    read_stored,
)
from eval.decoding import spelled_out
from eval.naming.out_paths import check_out_directory
from eval.records import MOST_TRUNCATED, file_sha256
from eval.records.settings import keep_settings
from eval.records.versions import versions
from reward_fns.errors import UserError
from reward_fns.expert import Expert, make_expert, stats_of
from reward_fns.files import alone_in


@dataclass(frozen=True)
class Plan:
    """What is asked of every model.

    Attributes:
        benchmarks: kind -> directory (`loading`).
        out: answers, judgements and verdicts.
        judge: see `reward_fns.expert.make_expert`; None where nothing is judged.
        objects_by_judge: Object HalBench's objects by the judge, else by the offline extractor.
        views: some of `views.VIEWS`.
        prompt: see `stored_answers.prompt_text`.
        limit: see `loading.first`.
        paper_unreadable: an unreadable rating is 0, as in the publisher's script.
    """

    benchmarks: Mapping[str, Path]
    out: Path
    decoding: Decoding
    judge: str | Mapping[str, Any] | None = None
    objects_by_judge: bool = False
    views: Sequence[str] = ("asserted",)
    prompt: str | None = None
    limit: int | None = None
    paper_unreadable: bool = False
    replicas: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """The numbers of each model.

    Attributes:
        pairs: of each pair's operating curves, where Object HalBench was asked.
        differences: of each later model to the first.
        left_out: benchmark -> a line for each of its records that is broken.
    """

    models: Mapping[str, ModelScores]
    pairs: Sequence[CurvePair]
    differences: Sequence[PairedDifference]
    left_out: Mapping[str, Sequence[str]]


def evaluate(models: Mapping[str, str | Mapping[str, Any]], plan: Plan) -> Evaluation:
    """Ask, judge and score all models.

    Raises:
        UserError: a model, a benchmark's files or the judge's configuration is
            wrong, or the judge failed.
    """
    check_out_directory(plan.out)
    with alone_in(plan.out):
        return _evaluate(models, plan)


def _evaluate(models: Mapping[str, str | Mapping[str, Any]], plan: Plan) -> Evaluation:
    benchmarks = {kind: load(kind, directory) for kind, directory in plan.benchmarks.items()}
    left_out = {kind: one.left_out for kind, one in benchmarks.items() if one.left_out}
    for kind, lines in left_out.items():
        print(f"{kind}: {len(lines)} broken records are left out:", *lines[:5], sep="\n  ")
    expert = _judge(plan, benchmarks)
    digests = {kind: questions_digest(one.items) for kind, one in benchmarks.items()}
    benchmarks = {kind: first(one, plan.limit) for kind, one in benchmarks.items()}
    answers = _answers(models, benchmarks, digests, plan)
    scores = {}
    for model in models:
        judging = Judging(
            expert,
            partial(_judgements, plan.out, model),
            _judged_from(model, benchmarks, plan),
            plan.objects_by_judge,
            plan.paper_unreadable,
        )
        scores[model] = score_model(benchmarks, answers[model], plan.views, judging)
        _warn_of_truncation(model, scores[model], plan.decoding.max_tokens)
    if expert is not None:
        print(f"judge {expert.name}: {stats_of(expert).summary()}")
    objhal = benchmarks.get("objhal")
    described = {model: found["objhal"] for model, found in answers.items() if "objhal" in found}
    confidence = {model: one.confidence for model, one in scores.items()}
    pairs = compare_curves(objhal, described, confidence) if isinstance(objhal, ObjHal) else []
    differences = against_first({model: one.outcomes for model, one in scores.items()})
    return Evaluation(scores, pairs, differences, left_out)


def _judge(plan: Plan, benchmarks: Mapping[str, Benchmark]) -> Expert | None:
    """The judge, with a cache of its verdicts in `out` where the configuration names none."""
    needed = plan.objects_by_judge or any(isinstance(b, Mmhal) for b in benchmarks.values())
    if not needed:
        return None
    if plan.judge is None:
        raise UserError(
            "mmhal and --objects judge need a judge: "
            """--judge '{"kind": "openai", "model": ...}', or leave them out"""
        )
    config = plan.judge
    if isinstance(config, Mapping) and config.get("kind") == "openai":
        config = {"cache": str(plan.out / "verdicts"), **config}
    try:
        return make_expert(config)
    except ValueError as error:
        raise UserError(str(error)) from error


def answers_path(out: Path, model: str, kind: str) -> Path:
    """Where a model's answers to a benchmark stand."""
    return out / f"{model}.{kind}.jsonl"


def _answers(
    models: Mapping[str, str | Mapping[str, Any]],
    benchmarks: Mapping[str, Benchmark],
    digests: Mapping[str, str],
    plan: Plan,
) -> dict[str, dict[str, dict[str, StoredAnswer]]]:
    """Model -> benchmark -> item_id -> answer, asked where they are missing."""
    decoded = {name: spelled_out(config) for name, config in models.items()}
    for _, method in decoded.values():
        if method is not None:
            method.check_temperature(plan.decoding.temperature)
    configs = {name: with_replicas(config, plan.replicas) for name, (config, _) in decoded.items()}
    engines = {name: open_engine(config, plan.out / "models") for name, config in configs.items()}
    for name, engine in engines.items():
        for kind in benchmarks:
            settings = {
                **asdict(plan.decoding),
                "prompt": plan.prompt,
                "questions_sha256": digests[kind],
                "model_sha256": engine.fingerprint,
                **(method.settings if (method := decoded[name][1]) else {}),
            }
            keep_settings(answers_path(plan.out, name, kind), settings)
    found: dict[str, dict[str, dict[str, StoredAnswer]]] = {}
    for name, engine in engines.items():
        found[name] = {}
        with engine:
            for kind, benchmark in benchmarks.items():
                path = answers_path(plan.out, name, kind)
                batch = batch_of(configs[name])
                log = open_log(path)
                items = benchmark.items
                answer_items(
                    f"{name} {kind}", engine, items, log, plan.decoding, plan.prompt, batch
                )
                found[name][kind] = read_stored(path)
    return found


def _judgements(out: Path, model: str, what: str) -> Path:
    """Where the judgements of a model's answers are kept."""
    return out / f"{model}.{what}.jsonl"


def _judged_from(
    model: str, benchmarks: Mapping[str, Benchmark], plan: Plan
) -> dict[str, dict[str, str]]:
    """Benchmark -> what its judgements depend on."""
    return {
        kind: {"answers_sha256": file_sha256(answers_path(plan.out, model, kind))}
        for kind in benchmarks
    }


def _warn_of_truncation(model: str, scores: ModelScores, max_tokens: int) -> None:
    for kind, share in scores.truncated.items():
        if share > MOST_TRUNCATED:
            print(
                f"{model} {kind}: {share:.1%} of the answers were cut off at --max-tokens "
                f"{max_tokens}: raise it, or rates and recall are those of shorter answers"
            )


def as_json(value: Any) -> Any:
    """Scores as JSON has them: a rate with its value and counts, None for what is undefined."""
    if isinstance(value, Rate):
        return {"value": value.value, **asdict(value)}
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.metadata.get("written", True)]
        return {name: as_json(getattr(value, name)) for name in names}
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def report_of(found: Evaluation, plan: Plan) -> dict[str, Any]:
    """What `hallucination.json` holds."""
    judge = plan.judge
    return {
        **as_json(found),
        "benchmarks": sorted(plan.benchmarks),
        "judge": judge.get("model", judge["kind"]) if isinstance(judge, Mapping) else judge,
        "decoding": asdict(plan.decoding),
        "versions": versions(),
    }
