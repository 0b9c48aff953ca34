"""Questions from a verl parquet (one row a question), as every protocol needs them."""

import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_fns.errors import UserError

_COLUMNS = ("data_source", "prompt", "images", "reward_model", "extra_info")
_EXTRA_INFO = ("question_id", "question", "task", "image_id", "entity")


@dataclass(frozen=True)
class Question:
    """One question about one image."""

    question_id: str
    dataset: str
    task: str  # "QA" | "Detail"
    question: str
    image_id: str
    entity: str
    image: bytes  # PNG or JPEG
    messages: list[dict[str, Any]]  # chat turns, the content of each in the parts of `chat_content`
    ground_truth: str


def chat_content(text: str) -> list[dict[str, str]]:
    """Split text at its `<image>` marks into content parts, as verl's RLHFDataset does for the rollout.

    >>> chat_content("<image>\\nWhich digit?")
    [{'type': 'image'}, {'type': 'text', 'text': '\\nWhich digit?'}]
    """
    parts = [part for part in re.split("(<image>)", text) if part]
    return [{"type": "image"} if part == "<image>" else {"type": "text", "text": part} for part in parts]


def load_questions(path: Path, limit: int | None = None) -> list[Question]:
    """Read a parquet of questions; `limit` keeps the first so many of each dataset, so that none is left out.

    Raises:
        UserError: the file is missing or corrupt, a column or field is missing, an image is missing or unreadable, or
            a question_id stands twice.
    """
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        raise UserError(f"no questions at {path}: make the pocket ones with `python -m data_prep.pocket data`")
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a readable parquet file ({reason}): make it anew") from error
    if missing := [column for column in _COLUMNS if column not in table.column_names]:
        raise UserError(f"{path} lacks the column {missing[0]}; a question file has {', '.join(_COLUMNS)}")

    questions: list[Question] = []
    seen: set[str] = set()
    per_dataset: Counter[str] = Counter()
    for number, row in enumerate(table.to_pylist()):
        dataset = row["data_source"]
        if limit is not None and per_dataset[dataset] >= limit:
            continue
        question = _question(row, f"{path} row {number}")
        if question.question_id in seen:
            raise UserError(f"{path} row {number}: question_id {question.question_id} stands twice; ids must be unique")
        seen.add(question.question_id)
        per_dataset[dataset] += 1
        questions.append(question)
    if not questions:
        raise UserError(f"{path} holds no questions")
    return questions


def _question(row: dict[str, Any], where: str) -> Question:
    info = row["extra_info"] or {}
    if missing := [name for name in _EXTRA_INFO if info.get(name) is None]:
        raise UserError(f"{where}: extra_info lacks {missing[0]}; it needs {', '.join(_EXTRA_INFO)}")
    ground_truth = (row["reward_model"] or {}).get("ground_truth")
    if ground_truth is None:
        raise UserError(f"{where}: reward_model lacks ground_truth")
    messages = [{"role": turn["role"], "content": chat_content(turn["content"])} for turn in row["prompt"]]
    marks = sum(part["type"] == "image" for turn in messages for part in turn["content"])
    images = row["images"] or []
    if marks != 1 or len(images) != 1:
        raise UserError(f"{where}: needs one image and one <image> mark, has {len(images)} and {marks}")
    return Question(
        dataset=row["data_source"],
        image=_image_bytes(images[0], where),
        messages=messages,
        ground_truth=ground_truth,
        **{name: str(info[name]) for name in _EXTRA_INFO},
    )


def _image_bytes(image: dict[str, Any] | None, where: str) -> bytes:
    from PIL import Image

    content = (image or {}).get("bytes")
    if not content:
        raise UserError(f"{where}: the image holds no bytes; write images as {{'bytes': <PNG>}}")
    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.verify()
    except (OSError, SyntaxError) as error:
        raise UserError(f"{where}: the image cannot be read ({error})") from error
    return content
