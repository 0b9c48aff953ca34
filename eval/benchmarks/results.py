"""From stored answers to numbers, benchmark by benchmark and view by view."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.benchmarks import amber, objhal, pope
from eval.benchmarks import mmhal as mmhal_bench
from eval.benchmarks.amber import AmberScores
from eval.benchmarks.confidence_scores import Answers, ConfidenceScores, score_confidence
from eval.benchmarks.differences import Found, Outcomes
from eval.benchmarks.judged import Judgements, ask_judge
from eval.benchmarks.loading import AmberSet, Benchmark, Mmhal, ObjHal, Pope
from eval.benchmarks.mmhal import MmhalScores, Rating
from eval.benchmarks.objhal import ObjectCounts, ObjHalScores
from eval.benchmarks.views import counted_text, judged_text
from eval.benchmarks.vocabulary import Vocabulary
from eval.benchmarks.yes_no import YesNoScores
from reward_fns.expert import Expert, ObjectsRequest

UNWRITTEN = {"written": False}
"""Metadata of a field that hallucination.json leaves out."""


@dataclass(frozen=True)
class ViewScores:
    """What judge and extractor make of a model's answers in one view; None: not asked for.

    Attributes:
        objects_by: who found Object HalBench's objects; objects_unread: replies of a judge that
            could not be read, left out of all its rates.
        judges: who judged, as its server states, and by which prompt.
    """

    objhal: ObjHalScores | None = None
    objects_by: str = ""
    objects_unread: int = 0
    mmhal: MmhalScores | None = None
    mmhal_types: Mapping[str, MmhalScores] = field(default_factory=dict)
    amber: AmberScores | None = None
    judges: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelScores:
    """All numbers of one model.

    Attributes:
        views: view -> scores.
        yes_no: "pope random", ..., "amber existence", ... -> scores.
        confidence: source -> scores; sources that no answer has are left out.
        truncated: benchmark -> share of the answers that were cut off.
        outcomes: what is compared between models, item by item;
            hallucination.json does not list it.
    """

    views: Mapping[str, ViewScores]
    yes_no: Mapping[str, YesNoScores]
    confidence: Mapping[str, ConfidenceScores]
    truncated: Mapping[str, float]
    outcomes: Found = field(default_factory=dict, metadata=UNWRITTEN)


@dataclass(frozen=True)
class Judging:
    """Who judges and where it is kept.

    Attributes:
        path: what is judged -> its file.
        settings: benchmark -> what the requests depend on.
    """

    expert: Expert | None
    path: Callable[[str], Path]
    settings: Mapping[str, Mapping[str, Any]]
    objects_by_judge: bool = False
    paper_unreadable: bool = False

    def ask(
        self, kind: str, what: str, requests: Mapping[str, Any], read: Callable[[Any], Any]
    ) -> Judgements:
        """The judge on some answers to a benchmark, see `judged.ask_judge`."""
        assert self.expert is not None  # checked before the first long run
        return ask_judge(
            self.path(f"{kind}_{what}"), requests, self.expert, read, self.settings[kind]
        )


def count_objhal(
    benchmark: ObjHal, answers: Answers, view: str, judging: Judging
) -> tuple[dict[str, ObjectCounts], str, int]:
    """Item -> counts of its description in a view; who found the objects; and texts
    of which nobody could.
    """
    texts = {
        item.item_id: counted_text(answers[item.item_id].response, view) for item in benchmark.items
    }
    if judging.objects_by_judge:
        mentioned, finder = _objects_by_judge(texts, benchmark.vocabulary, view, judging)
    else:
        found = benchmark.extractor.mentions(list(texts.values()))
        mentioned, finder = dict(zip(texts, found, strict=True)), benchmark.extractor.name
    counts = {
        item.item_id: objhal.count_objects(
            mentioned[item.item_id], benchmark.truth[item.image_id], texts[item.item_id]
        )
        for item in benchmark.items
        if item.item_id in mentioned
    }
    return counts, finder, len(texts) - len(counts)


def _objects_by_judge(
    texts: Mapping[str, str], vocabulary: Vocabulary, view: str, judging: Judging
) -> tuple[dict[str, tuple[str, ...]], str]:
    """Objects of each text by the judge, without those whose reply could not be
    read; and who judged.
    """
    requests = {item: ObjectsRequest(text) for item, text in texts.items() if text.strip()}
    said = judging.ask("objhal", f"{view}_objects", requests, lambda verdict: list(verdict.objects))
    found: dict[str, tuple[str, ...]] = {item: () for item in texts if item not in requests}
    for item, names in said.values.items():
        if names is not None:
            found[item] = tuple(filter(None, map(vocabulary.lookup, names)))
    return found, "; ".join(said.judges)


def rate_mmhal(
    benchmark: Mmhal, answers: Answers, view: str, judging: Judging
) -> tuple[list[Rating], tuple[str, ...]]:
    """The judge's ratings of the answers in a view, and who judged."""
    requests = {
        one.item.item_id: mmhal_bench.rating_request(
            one, judged_text(answers[one.item.item_id].response, view)
        )
        for one in benchmark.questions
    }
    said = judging.ask("mmhal", f"{view}_ratings", requests, lambda verdict: verdict.score)
    ratings = [
        Rating(one.question_type, said.values[one.item.item_id]) for one in benchmark.questions
    ]
    return ratings, said.judges


def score_model(
    benchmarks: Mapping[str, Benchmark],
    answers: Mapping[str, Answers],
    views: Sequence[str],
    judging: Judging,
) -> ModelScores:
    """All numbers of a model.

    Args:
        answers: benchmark -> item_id -> answer.

    Raises:
        UserError: the judge failed.
    """
    outcomes: dict[tuple[str, str], Outcomes] = {}
    by_view = {view: _score_view(benchmarks, answers, view, judging, outcomes) for view in views}
    yes_no: dict[str, YesNoScores] = {}
    confidence: dict[str, ConfidenceScores] = {}
    for name, benchmark in benchmarks.items():
        responses = {item: stored.response for item, stored in answers[name].items()}
        if isinstance(benchmark, Pope):
            questions = list(benchmark.questions)
            found = pope.score_pope(questions, responses)
            yes_no |= {f"{name} {part}": scores for part, scores in found.items()}
            right = pope.right(questions, responses)
            outcomes["POPE accuracy", ""] = _outcomes(benchmark, right, dict.fromkeys(right, 1))
        elif isinstance(benchmark, AmberSet) and any(item.yes_no for item in benchmark.items):
            asked = {i.item_id: responses[i.item_id] for i in benchmark.items if i.yes_no}
            found = amber.score_questions(benchmark.amber, asked)
            yes_no |= {f"{name} {part}": scores for part, scores in found.items()}
        elif isinstance(benchmark, ObjHal):
            confidence = score_confidence(benchmark, answers[name])
    truncated = {name: _truncated(benchmarks[name], answers[name]) for name in benchmarks}
    return ModelScores(by_view, yes_no, confidence, truncated, outcomes)


def _score_view(
    benchmarks: Mapping[str, Benchmark],
    answers: Mapping[str, Answers],
    view: str,
    judging: Judging,
    outcomes: dict[tuple[str, str], Outcomes],
) -> ViewScores:
    """Scores in a view; what is compared between models is added to `outcomes`."""
    found: dict[str, Any] = {}
    for name, benchmark in benchmarks.items():
        if isinstance(benchmark, ObjHal):
            counts, finder, unread = count_objhal(benchmark, answers[name], view, judging)
            scores = objhal.score(list(counts.values()))
            found |= {"objhal": scores, "objects_by": finder, "objects_unread": unread}
            for number, (above, below) in objhal.parts(counts).items():
                outcomes[f"ObjHal {number}", view] = _outcomes(benchmark, above, below)
        elif isinstance(benchmark, Mmhal):
            ratings, found["judges"] = rate_mmhal(benchmark, answers[name], view, judging)
            found["mmhal"] = mmhal_bench.score(ratings, judging.paper_unreadable)
            found["mmhal_types"] = mmhal_bench.score_by_type(ratings, judging.paper_unreadable)
            items = [one.item.item_id for one in benchmark.questions]
            rated = dict(zip(items, ratings, strict=True))
            for number, (above, below) in mmhal_bench.parts(
                rated, judging.paper_unreadable
            ).items():
                outcomes[f"MMHal {number}", view] = _outcomes(benchmark, above, below)
        elif isinstance(benchmark, AmberSet):
            texts = {
                item.item_id: counted_text(answers[name][item.item_id].response, view)
                for item in benchmark.items
                if not item.yes_no
            }
            found["amber"] = amber.score_generative(benchmark.amber, texts) if texts else None
    return ViewScores(**found)


def _outcomes(
    benchmark: Benchmark, above: Mapping[str, float], below: Mapping[str, float]
) -> Outcomes:
    return Outcomes(above, below, {item.item_id: item.image_id for item in benchmark.items})


def _truncated(benchmark: Benchmark, answers: Answers) -> float:
    cut = [answers[item.item_id].finish_reason == "length" for item in benchmark.items]
    return sum(cut) / max(len(cut), 1)
