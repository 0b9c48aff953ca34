"""A benchmark's directory as published, by kind: what is asked, and what the
answers are held against.

objhal   one *.jsonl of questions with images; COCO's instances_*.json and captions_*.json (or in
         annotations/). Or, for images of one's own: truth.json {image_id: [object, ...]} and
         vocabulary.json (see `vocabulary`)
mmhal    one *.json; images/
pope     *_random.json, *_popular.json, *_adversarial.json, or some of them; images/
amber    annotations.json, relation.json, safe_words.txt, query_generative.json and, if wanted,
         query_discriminative.json; image/ or images/
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from eval.benchmarks import amber, mmhal, objhal, pope
from eval.benchmarks.coco_truth import objects_of_images
from eval.benchmarks.extraction import Extractor, PhraseExtractor, SpacyExtractor
from eval.benchmarks.items import BrokenRecordError, Item, field, find_image, read_each
from eval.benchmarks.vocabulary import Vocabulary, coco, read_vocabulary
from reward_fns.errors import UserError
from reward_fns.files import read_mapping


@dataclass(frozen=True)
class ObjHal:
    """Descriptions against the objects of their images, by image_id.

    Attributes:
        left_out: a line for each record that is broken, here and in the other benchmarks.
    """

    items: tuple[Item, ...]
    truth: Mapping[str, AbstractSet[str]]
    vocabulary: Vocabulary
    extractor: Extractor
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mmhal:
    """Answers against references, by a judge."""

    questions: tuple[mmhal.MmhalQuestion, ...]
    left_out: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """What is asked."""
        return tuple(one.item for one in self.questions)


@dataclass(frozen=True)
class Pope:
    """Yes-or-no questions."""

    questions: tuple[pope.PopeQuestion, ...]
    left_out: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """What is asked."""
        return tuple(one.item for one in self.questions)


@dataclass(frozen=True)
class AmberSet:
    """Descriptions and yes-or-no questions."""

    amber: amber.Amber
    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()


T = TypeVar("T")
Benchmark = ObjHal | Mmhal | Pope | AmberSet


def load(kind: str, directory: Path) -> Benchmark:
    """The benchmark in a directory.

    Args:
        kind: one of `KINDS`.

    Raises:
        UserError: no such kind, or a file or an image is missing.
    """
    if kind not in KINDS:
        raise UserError(f"no benchmark {kind!r}: there are {', '.join(KINDS)}")
    if not directory.is_dir():
        raise UserError(f"{kind}: no directory {directory}; see eval/benchmarks/README.md")
    return KINDS[kind](directory)


def first(benchmark: Benchmark, limit: int | None) -> Benchmark:
    """The first so many questions, of POPE by sampling and of AMBER by kind; all for None."""
    if limit is None:
        return benchmark
    if isinstance(benchmark, ObjHal):
        return replace(benchmark, items=benchmark.items[:limit])
    if isinstance(benchmark, Mmhal):
        return replace(benchmark, questions=benchmark.questions[:limit])
    if isinstance(benchmark, Pope):
        samplings = [one.sampling for one in benchmark.questions]
        return replace(benchmark, questions=_first_of_each(benchmark.questions, samplings, limit))
    kinds = {one.item_id: one.kind for one in benchmark.amber.annotations}
    names = [kinds[item.item_id] for item in benchmark.items]
    return replace(benchmark, items=_first_of_each(benchmark.items, names, limit))


def _first_of_each(values: Sequence[T], names: Sequence[str], limit: int) -> tuple[T, ...]:
    seen: Counter[str] = Counter()
    chosen = []
    for value, name in zip(values, names, strict=True):
        seen[name] += 1
        if seen[name] <= limit:
            chosen.append(value)
    return tuple(chosen)


def _objhal(directory: Path) -> ObjHal:
    left_out: list[str] = []
    items = _once(objhal.read_items(_only(directory, "*.jsonl"), left_out), _itself, left_out)
    images = {item.image_id for item in items}
    if (directory / "truth.json").is_file():
        vocabulary = read_vocabulary(directory / "vocabulary.json")
        listed = read_mapping(directory / "truth.json")
        if missing := sorted(images - listed.keys()):
            raise UserError(f"{directory}/truth.json lacks image {missing[0]}: add its objects")
        if odd := [image for image in sorted(images) if not isinstance(listed[image], list)]:
            raise UserError(f"{directory}/truth.json: image {odd[0]} has no list of objects")
        truth = {image: frozenset(map(str, listed[image])) for image in images}
        return ObjHal(items, truth, vocabulary, PhraseExtractor(vocabulary), tuple(left_out))
    extractor = SpacyExtractor(coco())
    truth = objects_of_images(directory, images, extractor)
    return ObjHal(items, truth, coco(), extractor, tuple(left_out))


def _mmhal(directory: Path) -> Mmhal:
    left_out: list[str] = []
    path = _only(directory, "*.json")
    questions = mmhal.read_questions(path, directory / "images", left_out)
    return Mmhal(tuple(questions), tuple(left_out))


def _pope(directory: Path) -> Pope:
    left_out: list[str] = []
    found = pope.read_questions(directory, directory / "images", left_out)
    return Pope(_once(found, lambda one: one.item, left_out), tuple(left_out))


def _amber(directory: Path) -> AmberSet:
    left_out: list[str] = []
    benchmark = amber.read_amber(directory, left_out)
    kinds = {one.item_id: one.kind for one in benchmark.annotations}
    folders = [directory / "image", directory / "images"]
    items: list[Item] = []
    for name in ("query_generative.json", "query_discriminative.json"):
        path = directory / name
        if path.is_file():
            items += read_each(path, partial(_amber_item, kinds, folders), left_out)
    if not items:
        raise UserError(f"no query_generative.json or query_discriminative.json in {directory}")
    return AmberSet(benchmark, _once(items, _itself, left_out), tuple(left_out))


def _amber_item(
    kinds: Mapping[str, str],
    folders: Sequence[Path],
    record: dict[str, Any],
    where: str,
    number: int,
) -> Item:
    item_id, image = field(record, "id"), field(record, "image")
    if item_id not in kinds:
        raise BrokenRecordError(f"annotations.json has no id {item_id}")
    item = Item(
        item_id,
        image,
        field(record, "query"),
        find_image(folders, [image], where),
        yes_no=kinds[item_id] != amber.GENERATIVE,
    )
    item.check()
    return item


def _itself(item: Item) -> Item:
    return item


def _once(values: Sequence[T], item_of: Callable[[T], Item], left_out: list[str]) -> tuple[T, ...]:
    """The first of each id: answers are kept by it,
    so that a second one would get the first one's.
    """
    seen: set[str] = set()
    kept = []
    for value in values:
        item = item_of(value)
        if item.item_id in seen:
            left_out.append(f"question {item.item_id} stands twice: the second is left out")
            continue
        seen.add(item.item_id)
        kept.append(value)
    return tuple(kept)


def _only(directory: Path, pattern: str) -> Path:
    found = sorted(directory.glob(pattern))
    if len(found) != 1:
        raise UserError(f"{directory} holds {len(found)} files {pattern}: it needs exactly one")
    return found[0]


KINDS: dict[str, Callable[[Path], Benchmark]] = {
    "objhal": _objhal,
    "mmhal": _mmhal,
    "pope": _pope,
    "amber": _amber,
}
