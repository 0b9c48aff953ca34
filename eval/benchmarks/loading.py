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
from pathlib import Path
from typing import TypeVar

from eval.benchmarks import amber, mmhal, objhal, pope
from eval.benchmarks.coco_truth import objects_of_images
from eval.benchmarks.extraction import Extractor, PhraseExtractor, SpacyExtractor
from eval.benchmarks.items import Item, field, find_image, read_records
from eval.benchmarks.vocabulary import Vocabulary, coco, read_vocabulary
from reward_fns.errors import UserError
from reward_fns.files import read_mapping


@dataclass(frozen=True)
class ObjHal:
    """Descriptions against the objects of their images, by image_id."""

    items: tuple[Item, ...]
    truth: Mapping[str, AbstractSet[str]]
    vocabulary: Vocabulary
    extractor: Extractor


@dataclass(frozen=True)
class Mmhal:
    """Answers against references, by a judge."""

    questions: tuple[mmhal.MmhalQuestion, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """What is asked."""
        return tuple(one.item for one in self.questions)


@dataclass(frozen=True)
class Pope:
    """Yes-or-no questions."""

    questions: tuple[pope.PopeQuestion, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """What is asked."""
        return tuple(one.item for one in self.questions)


@dataclass(frozen=True)
class AmberSet:
    """Descriptions and yes-or-no questions."""

    amber: amber.Amber
    items: tuple[Item, ...]


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
    items = tuple(objhal.read_items(_only(directory, "*.jsonl")))
    images = {item.image_id for item in items}
    if (directory / "truth.json").is_file():
        vocabulary = read_vocabulary(directory / "vocabulary.json")
        listed = read_mapping(directory / "truth.json")
        if missing := sorted(images - listed.keys()):
            raise UserError(f"{directory}/truth.json lacks image {missing[0]}: add its objects")
        truth = {image: frozenset(map(str, listed[image])) for image in images}
        return ObjHal(items, truth, vocabulary, PhraseExtractor(vocabulary))
    extractor = SpacyExtractor(coco())
    return ObjHal(items, objects_of_images(directory, images, extractor), coco(), extractor)


def _mmhal(directory: Path) -> Mmhal:
    path = _only(directory, "*.json")
    return Mmhal(tuple(mmhal.read_questions(path, directory / "images")))


def _pope(directory: Path) -> Pope:
    return Pope(tuple(pope.read_questions(directory, directory / "images")))


def _amber(directory: Path) -> AmberSet:
    benchmark = amber.read_amber(directory)
    kinds = {one.item_id: one.kind for one in benchmark.annotations}
    items = []
    for name in ("query_generative.json", "query_discriminative.json"):
        path = directory / name
        for number, record in enumerate(read_records(path) if path.is_file() else ()):
            where = f"{path} record {number}"
            item_id, image = field(record, "id", where), field(record, "image", where)
            if item_id not in kinds:
                raise UserError(f"{where}: annotations.json has no id {item_id}")
            folders = [directory / "image", directory / "images"]
            found = find_image(folders, [image], where)
            yes_no = kinds[item_id] != amber.GENERATIVE
            question = field(record, "query", where)
            items.append(Item(item_id, image, question, found, yes_no=yes_no))
    if not items:
        raise UserError(f"no query_generative.json or query_discriminative.json in {directory}")
    return AmberSet(benchmark, tuple(items))


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
