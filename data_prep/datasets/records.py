"""A dataset of one's own: a JSONL or parquet file, or a Hugging Face `datasets` one.

A record has these fields, under these names or others (`fields: {question: prompt, image: file}`):

    question      the question
    image         path (absolute, or under the folder of the images), bytes, or {"bytes": ..., "path": ...}
    question_id   default: the record's number
    image_id      default: the image's path, or the SHA-256 of its bytes
    task          "QA" or "Detail"; default: the option `task`
    answers       list of accepted answers, or one; default: none
    ground_truth  default: the most common answer, else empty (then the expert sees no reference)

Ids get the dataset's name in front. All three kinds are read as a stream.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_prep.datasets.common import Item, attempt, folder, read_lines, text
from data_prep.questions import ROW_GROUP, SourceQuestion
from reward_fns.accuracy import most_common
from reward_fns.errors import UserError

FIELDS = ("question_id", "task", "question", "image_id", "image", "ground_truth", "answers")
TASKS = ("QA", "Detail")


def jsonl(
    dataset: str,
    root: Path,
    *,
    file: str,
    images: str = ".",
    task: str = "QA",
    fields: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """One JSON object a line of `root / file`."""
    path, names = _checked(dataset, root / file, task, fields)
    for number, (place, line) in enumerate(read_lines(path)):
        yield attempt(
            dataset,
            place,
            _from_line,
            dataset,
            line,
            number,
            names,
            task,
            folder(root, images, "."),
        )


def parquet(
    dataset: str,
    root: Path,
    *,
    file: str,
    images: str = ".",
    task: str = "QA",
    fields: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """The rows of `root / file`."""
    import pyarrow
    import pyarrow.parquet

    path, names = _checked(dataset, root / file, task, fields)
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=ROW_GROUP):
                for row in batch.to_pylist():
                    place = f"{path.name} row {number}"
                    yield attempt(
                        dataset, place, _question, dataset, row, number, names, task, root / images
                    )
                    number += 1
    except pyarrow.ArrowException as error:
        raise UserError(
            f"{path} is not a readable parquet file ({str(error).splitlines()[0]}): make it anew"
        ) from error


def huggingface(
    dataset: str,
    root: Path,
    *,
    split: str = "train",
    config: str | None = None,
    images: str = ".",
    task: str = "QA",
    fields: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """A dataset of the library `datasets`: a folder of `save_to_disk`, or what `load_dataset` takes as its path.

    Images are left encoded.
    """
    import datasets

    _, names = _checked(dataset, None, task, fields)
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
    if isinstance(rows.features.get(names["image"]), datasets.Image):
        rows = rows.cast_column(names["image"], datasets.Image(decode=False))
    for number, row in enumerate(rows):
        yield attempt(
            dataset,
            f"{root.name} row {number}",
            _question,
            dataset,
            row,
            number,
            names,
            task,
            root / images,
        )


def _checked(
    dataset: str, path: Path | None, task: str, fields: Mapping[str, str] | None
) -> tuple[Path, dict[str, str]]:
    if path is not None and not path.is_file():
        raise UserError(f"{dataset}: no file {path}: correct root and file")
    if task not in TASKS:
        raise UserError(f"{dataset}: task must be one of {', '.join(TASKS)}, got {task!r}")
    if unknown := [name for name in fields or {} if name not in FIELDS]:
        raise UserError(
            f"{dataset}: fields maps {unknown[0]!r}, which is none of {', '.join(FIELDS)}"
        )
    return path or Path(), {name: (fields or {}).get(name, name) for name in FIELDS}


def _from_line(dataset: str, line: bytes, *args: Any) -> SourceQuestion:
    return _question(dataset, json.loads(line), *args)


def _question(
    dataset: str,
    row: dict[str, Any],
    number: int,
    names: dict[str, str],
    task: str,
    directory: Path,
) -> SourceQuestion:
    question = text(row, names["question"])
    value = {name: row.get(names[name]) for name in FIELDS}
    image, identity = _image(value["image"], directory, names["image"])
    given = value["answers"] or []
    answers = tuple(str(answer) for answer in ([given] if isinstance(given, str) else given))
    if value["task"] not in (None, *TASKS):
        raise ValueError(f"task {value['task']!r} is none of {', '.join(TASKS)}")
    truth = value["ground_truth"]
    own_id = value["question_id"]
    return SourceQuestion(
        question_id=f"{dataset}/{number if own_id is None else own_id}",
        dataset=dataset,
        task=value["task"] or task,
        question=question,
        image_id=f"{dataset}/{identity if value['image_id'] is None else value['image_id']}",
        image=image,
        ground_truth=(most_common(answers) if answers else "") if truth is None else str(truth),
        answers=answers,
    )


def _image(value: Any, directory: Path, field: str) -> tuple[Path | bytes, str]:
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str) and value:
        return directory / value, value
    if isinstance(value, bytes) and value:
        return value, hashlib.sha256(value).hexdigest()
    raise ValueError(f"{field} is neither a path nor the bytes of an image")
