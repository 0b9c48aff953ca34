"""A dataset of one's own: JSONL or parquet files, or a Hugging Face `datasets` one,
copies of the Hub included.

A record has these fields, under these names or others (`fields: {question: prompt, image: file}`):

    question      the question
    image         path (absolute, or under the folder of the images), bytes,
                  {"bytes": ..., "path": ...}, or a list that holds one of these
    question_id   default: the record's number
    image_id      default: the image's path, or the SHA-256 of its bytes
    task          "QA" or "Detail"; default: the option `task`
    answers       list of accepted answers (texts, numbers, or {"answer": ...} as on the Hub), or
                  one; default: none
    ground_truth  default: the most common answer, else empty (then the expert sees no reference)
    dataset       tag of this record, read only where `fields` names it; default: the dataset's name

Ids get the record's tag in front. An image that is COCO's gets the id that the publishers'
adapters give it, so that a picture falls into one split whichever copy it came from: by the name
of its file (COCO_val2014_000000262148.jpg), or under `collection: coco`, which is the default of
VQAv2, OK-VQA and COCO, by a bare number, in `image_id` too. Other collections likewise put their
name in front of `image_id` (`openimages` for TextVQA). `file` may be a glob over shards. All three
kinds are read as a stream.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.datasets.common import (
    Item,
    attempt,
    coco_number,
    folder,
    is_url,
    matching,
    parquet_rows,
    read_lines,
    text,
)
from data_prep.datasets.hub_card import check_card
from data_prep.datasets.sources import note
from data_prep.questions import SourceQuestion
from reward_fns.accuracy import most_common
from reward_fns.errors import UserError

FIELDS = (
    "question_id",
    "task",
    "question",
    "image_id",
    "image",
    "ground_truth",
    "answers",
    "dataset",
)
TASKS = ("QA", "Detail")
COLLECTIONS = {
    "COCO": "coco",
    "VQAv2": "coco",
    "OK-VQA": "coco",
    "TextVQA": "openimages",
    "GQA": "visual-genome",
    "OCR-VQA": "ocr-vqa",
}
"""Tag -> what stands before the ids of its images, as the publisher's adapter has it."""


@dataclass(frozen=True)
class Reading:
    """How a dataset's records are read: the options of the three kinds.

    Attributes:
        names: field -> its name in a record; `dataset` only where the configuration names it.
        images: folder of the pictures.
        collection: before an image's id; None: by the record's tag.
    """

    dataset: str
    task: str
    names: Mapping[str, str]
    images: Path
    collection: str | None


def jsonl(
    dataset: str,
    root: Path,
    *,
    file: str,
    images: str = ".",
    task: str = "QA",
    collection: str | None = None,
    fields: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """One JSON object a line of `root / file`, a name or a glob."""
    reading = _reading(dataset, root, images, task, collection, fields)
    number = 0
    for path in _files(dataset, root, file):
        for place, line in read_lines(path):
            yield attempt(dataset, place, _from_line, line, number, reading)
            number += 1


def parquet(
    dataset: str,
    root: Path,
    *,
    file: str,
    images: str = ".",
    task: str = "QA",
    collection: str | None = None,
    fields: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """The rows of `root / file`, a name or a glob."""
    reading = _reading(dataset, root, images, task, collection, fields)
    for number, (place, row) in enumerate(parquet_rows(_files(dataset, root, file))):
        yield attempt(dataset, place, _question, row, number, reading)


def huggingface(
    dataset: str,
    root: Path,
    *,
    split: str = "train",
    config: str | None = None,
    images: str = ".",
    task: str = "QA",
    collection: str | None = None,
    fields: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """A dataset of the library `datasets`: a folder of `save_to_disk`, or what
    `load_dataset` takes as its path.

    Images are left encoded.
    """
    import datasets
    from PIL import Image

    reading = _reading(dataset, root, images, task, collection, fields)
    for path in (root, *root.rglob("*")):
        if path.suffix.lower() not in Image.registered_extensions():  # pictures are not read here
            note(path)
    check_card(dataset, root)
    try:
        if (root / "dataset_dict.json").exists():
            rows = datasets.load_from_disk(str(root))[split]
        elif (root / "state.json").exists():
            rows = datasets.load_from_disk(str(root))
        else:
            rows = datasets.load_dataset(str(root), config, split=split)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{dataset}: no Hugging Face dataset at {root}, split {split} ({reason})"
        ) from error
    name, encoded = reading.names["image"], datasets.Image(decode=False)
    match rows.features.get(name):
        case datasets.Image():
            rows = rows.cast_column(name, encoded)
        case datasets.List(feature=datasets.Image()):
            rows = rows.cast_column(name, datasets.List(encoded))
    for number, row in enumerate(rows):
        yield attempt(dataset, f"{root.name} row {number}", _question, row, number, reading)


def _reading(
    dataset: str,
    root: Path,
    images: str,
    task: str,
    collection: str | None,
    fields: Mapping[str, str] | None,
) -> Reading:
    if task not in TASKS:
        raise UserError(f"{dataset}: task must be one of {', '.join(TASKS)}, got {task!r}")
    if unknown := [name for name in fields or {} if name not in FIELDS]:
        raise UserError(
            f"{dataset}: fields maps {unknown[0]!r}, which is none of {', '.join(FIELDS)}"
        )
    names = {name: name for name in FIELDS if name != "dataset"} | dict(fields or {})
    return Reading(dataset, task, names, folder(root, images, "."), collection)


def _files(dataset: str, root: Path, file: str) -> list[Path]:
    try:
        return matching(root, file)
    except UserError as error:
        raise UserError(f"{dataset}: {error}") from error


def _from_line(line: bytes, number: int, reading: Reading) -> SourceQuestion:
    return _question(json.loads(line), number, reading)


def _question(row: dict[str, Any], number: int, reading: Reading) -> SourceQuestion:
    question = text(row, reading.names["question"])
    value = {name: row.get(own) for name, own in reading.names.items()}
    tag = reading.dataset
    if value.get("dataset") is not None:
        tag = text(row, reading.names["dataset"])
    image, name = _image(value["image"], reading.images, reading.names["image"])
    answers = _answers(value["answers"], reading.names["answers"])
    if value["task"] not in (None, *TASKS):
        raise ValueError(f"task {value['task']!r} is none of {', '.join(TASKS)}")
    truth = value["ground_truth"]
    own_id = value["question_id"]
    return SourceQuestion(
        question_id=f"{tag}/{number if own_id is None else own_id}",
        dataset=tag,
        task=value["task"] or reading.task,
        question=question,
        image_id=_image_id(value["image_id"], name, image, reading.collection, tag),
        image=image,
        ground_truth=(most_common(answers) if answers else "") if truth is None else _said(truth),
        answers=answers,
    )


def _answers(value: Any, field: str) -> tuple[str, ...]:
    """The answers of any of the shapes in which the Hub has them.

    Raises:
        ValueError: an object among them has no answer.
    """
    if isinstance(value, dict) and isinstance(value.get("answer"), list | tuple):
        value = value[
            "answer"
        ]  # {"answer": [...], "answer_id": [...]}: a list of objects by columns
    if value is None or value == "":
        return ()
    given = value if isinstance(value, list | tuple) else [value]
    return tuple(_answer(answer, field) for answer in given)


def _answer(value: Any, field: str) -> str:
    if isinstance(value, dict):
        value = value.get("raw_answer") or value.get("answer")
    if value is None or isinstance(value, dict | list | tuple):
        raise ValueError(f"{field} holds something that is no answer: give texts or numbers")
    return _said(value)


def _said(value: Any) -> str:
    """A text as it is; of a number its usual spelling, which for 2.0 is 2."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _image(value: Any, directory: Path, field: str) -> tuple[Path | bytes, str]:
    """The picture, and the name of its file ("" if it has none)."""
    if isinstance(value, list | tuple):
        if len(value) != 1:
            raise ValueError(f"{field} holds {len(value)} images instead of one")
        value = value[0]
    name = ""
    if isinstance(value, dict):
        name = value.get("path") or ""
        value = value.get("bytes") or name
    if is_url(value):
        raise ValueError(
            f"{field} is a URL ({value}): download the pictures, and give their paths or bytes"
        )
    if isinstance(value, str) and value:
        return directory / value, value
    if isinstance(value, bytes) and value:
        return value, name
    raise ValueError(f"{field} is neither a path nor the bytes of an image")


def _image_id(given: Any, name: str, image: Path | bytes, collection: str | None, tag: str) -> str:
    space = collection or COLLECTIONS.get(tag, tag)
    of_coco = space == "coco"
    number = coco_number(name, of_coco)
    if number is None and of_coco and given is not None:
        said = PurePosixPath(_said(given)).stem
        number = int(said) if said.isascii() and said.isdigit() else coco_number(said, of_coco)
    if number is not None:
        return f"coco/{number}"
    if given is not None:
        return f"{space}/{_said(given)}"
    own = hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else name
    return f"{space}/{own}"
