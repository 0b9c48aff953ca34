"""AMBER: descriptions against annotated objects, and yes-or-no questions; no judge.

Of response i to "Describe this image.": R_i the nouns of the answer that AMBER's vocabulary has
(keys and values of `relation.json`), with repetitions, safe words left out; A_i the annotated
objects, H_i annotated likely hallucinations. A noun is covered by an object if it is the same word
or one that `relation.json` lists for it.

    CHAIR = sum #{r in R_i not covered by A_i} / sum |R_i|
    Cover = sum #{a in A_i that covers some r}  / sum |A_i|
    Hal   = share of responses with such a noun
    Cog   = sum #{r in R_i covered by H_i, not by A_i} / sum |R_i|

Against the publisher's script: nouns are found by spaCy, not NLTK; words that are only close as
embeddings (similarity over 0.8) are not covered; A_i and H_i are sets. So numbers are comparable
among models scored here, and CHAIR is an upper bound of the script's.

Yes-or-no questions: scores of `yes_no` with "no" as the positive answer, as the script has
it, by existence, attribute and relation. Relation questions carry two spellings of their
type, and both are read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.benchmarks.extraction import nouns
from eval.benchmarks.items import BrokenRecordError, field, read_each
from eval.benchmarks.rates import Rate, ratio, share
from eval.benchmarks.yes_no import YesNo, YesNoScores, read_yes_no
from eval.benchmarks.yes_no import score as score_yes_no
from reward_fns.errors import UserError
from reward_fns.files import read_mapping

GENERATIVE = "generative"
_KINDS = {
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "attribute",
    "discriminative-attribute-number": "attribute",
    "discriminative-attribute-action": "attribute",
    "discriminative-relation": "relation",
    "relation": "relation",
}


@dataclass(frozen=True)
class Annotation:
    """One image's annotated objects, or one question's truth ("yes" or "no")."""

    item_id: str
    kind: str  # "generative" | "existence" | "attribute" | "relation"
    objects: tuple[str, ...] = ()
    hallucinations: tuple[str, ...] = ()
    truth: str = ""


@dataclass(frozen=True)
class Amber:
    """The benchmark's files; `covers`: object -> words that it covers, itself included."""

    annotations: tuple[Annotation, ...]
    covers: Mapping[str, frozenset[str]]
    safe_words: frozenset[str]

    @property
    def vocabulary(self) -> frozenset[str]:
        """Words that count as objects."""
        return frozenset().union(*self.covers.values())

    def covered(self, objects: Sequence[str]) -> frozenset[str]:
        """All words that some objects cover."""
        return frozenset().union(*(self.covers.get(name, frozenset({name})) for name in objects))


@dataclass(frozen=True)
class AmberScores:
    """Generative scores; see the module."""

    chair: Rate
    cover: Rate
    hal: Rate
    cog: Rate


def read_amber(directory: Path, left_out: list[str] | None = None) -> Amber:
    """annotations.json, relation.json and safe_words.txt of a directory.

    Args:
        left_out: takes a line for each annotation that is broken.

    Raises:
        UserError: a file is missing or holds something else; or as `items.read_each`.
    """
    safe = directory / "safe_words.txt"
    if not safe.is_file():
        raise UserError(f"no {safe}: see eval/benchmarks/README.md")
    relations = read_mapping(directory / "relation.json")
    if odd := [name for name, others in relations.items() if not isinstance(others, list)]:
        raise UserError(f"{directory}/relation.json: {odd[0]!r} has no list of words")
    annotations = read_each(
        directory / "annotations.json", _annotation, [] if left_out is None else left_out
    )
    return Amber(
        tuple(annotations),
        {name: frozenset(map(str, (name, *others))) for name, others in relations.items()},
        frozenset(safe.read_text(encoding="utf-8", errors="replace").split()),
    )


def _words(listed: Iterable[Any]) -> tuple[str, ...]:
    """Each word once, in order."""
    return tuple(dict.fromkeys(map(str, listed)))


def _annotation(record: Mapping[str, Any], where: str, number: int) -> Annotation:
    kind, item_id = str(record.get("type")), field(record, "id")
    if kind == GENERATIVE:
        return Annotation(item_id, kind, _words(record["truth"]), _words(record["hallu"]))
    if kind not in _KINDS:
        raise BrokenRecordError(f"annotation {item_id} has the unknown type {kind!r}")
    return Annotation(item_id, _KINDS[kind], truth=str(record["truth"]))


def score_generative(amber: Amber, responses: Mapping[str, str], seed: int = 0) -> AmberScores:
    """Scores of the descriptions among the responses.

    Args:
        responses: item_id -> text of the description.

    Raises:
        UserError: a response is to no image of the annotations.
    """
    by_id = {one.item_id: one for one in amber.annotations if one.kind == GENERATIVE}
    if unknown := [item for item in responses if item not in by_id]:
        raise UserError(f"response {unknown[0]}: AMBER has no such description")
    rows = []
    counted = amber.vocabulary - amber.safe_words
    for item, words in zip(responses, nouns(list(responses.values())), strict=True):
        rows.append(_counts(amber, by_id[item], [word for word in words if word in counted]))
    said, wrong, told, truth, guessed = (list(column) for column in zip(*rows, strict=True))
    return AmberScores(
        chair=ratio(wrong, said, seed=seed),
        cover=ratio(told, truth, seed=seed),
        hal=share([count > 0 for count in wrong]),
        cog=ratio(guessed, said, seed=seed),
    )


def _counts(amber: Amber, one: Annotation, words: Sequence[str]) -> tuple[int, int, int, int, int]:
    """|R|, its uncovered words, covering objects, |A|, words covered by H and not by A."""
    right = amber.covered(one.objects)
    uncovered = [word for word in words if word not in right]
    likely = amber.covered(one.hallucinations)
    told = sum(not amber.covered([name]).isdisjoint(words) for name in one.objects)
    guessed = sum(word in likely for word in uncovered)
    return len(words), len(uncovered), told, len(one.objects), guessed


def score_questions(
    amber: Amber, responses: Mapping[str, str], seed: int = 0
) -> dict[str, YesNoScores]:
    """Scores of the yes-or-no questions among the responses, by kind and of "all"."""
    read = [
        (one.kind, YesNo(one.truth, read_yes_no(responses[one.item_id]), one.item_id))
        for one in amber.annotations
        if one.kind != GENERATIVE and one.item_id in responses
    ]
    found = {
        kind: score_yes_no([answer for name, answer in read if name == kind], "no", seed)
        for kind in dict.fromkeys(name for name, _ in read)
    }
    return found | {"all": score_yes_no([answer for _, answer in read], "no", seed)}
