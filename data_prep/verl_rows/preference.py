"""Preferences: a question about an image, a better and a worse answer, in one parquet row.

The fields are those that TRL's DPOTrainer takes for vision models (prompt, images, chosen,
rejected, conversational, as in its data set trl-lib/rlaif-v), so that `datasets` opens the images
and TRL trains on the file as it is:

    prompt          turns {role, content: [{type: "image", text: null} | {type: "text", text}]};
                    begins and ends with the user's; one image part in all
    images          [{"bytes": PNG or JPEG}], one
    chosen          [the assistant's better answer, a turn as above]
    rejected        [the worse one]
    data_source     what it was made from
    question_id     several rows may share it
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.verl_rows.read import read_rows
from data_prep.verl_rows.schema import OTHER_MARKS, image_bytes
from data_prep.verl_rows.stored import StoredImage, StoredImages
from data_prep.verl_rows.write import RowWriter
from reward_fns.errors import UserError

_PART = pa.struct({"type": pa.string(), "text": pa.string()})
_TURNS = pa.list_(pa.struct({"role": pa.string(), "content": pa.list_(_PART)}))
_FIELDS = {
    "prompt": _TURNS,
    # `path` stays null; `datasets` takes an image for one only with both fields.
    "images": pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
    "chosen": _TURNS,
    "rejected": _TURNS,
    "data_source": pa.string(),
    "question_id": pa.string(),
}
_MADE_BY = "make them with `python -m data_prep.preferences`"


@dataclass(frozen=True)
class Preference:
    """One row as it is trained on.

    Attributes:
        prompt: chat turns as the chat templates take them.
        image: stays in the file until it is asked for.
    """

    prompt: list[dict[str, Any]]
    image: StoredImage
    chosen: str
    rejected: str
    question_id: str


def preference_schema() -> pa.Schema:
    """The schema; its metadata tells `datasets` that the images are images."""
    text = {"dtype": "string", "_type": "Value"}
    # `Sequence` and bare lists: what every version of `datasets` reads.
    turns = [{"role": text, "content": [{"type": text, "text": text}]}]
    images = {"_type": "Sequence", "feature": {"_type": "Image"}}
    features: dict[str, Any] = {**dict.fromkeys(_FIELDS, text), "images": images}
    features |= dict.fromkeys(("prompt", "chosen", "rejected"), turns)
    return pa.schema(
        _FIELDS, metadata={"huggingface": json.dumps({"info": {"features": features}})}
    )


def preference_row(
    turns: Sequence[tuple[str, str]],
    image: bytes,
    chosen: str,
    rejected: str,
    data_source: str,
    question_id: str,
) -> dict[str, Any]:
    """A row, the image before the first turn's text.

    Args:
        turns: (role, text) of the prompt, without image mark.
    """
    prompt = [_turn(role, text) for role, text in turns]
    prompt[0]["content"].insert(0, {"type": "image", "text": None})
    return {
        "prompt": prompt,
        "images": [{"bytes": image}],
        "chosen": [_turn("assistant", chosen)],
        "rejected": [_turn("assistant", rejected)],
        "data_source": data_source,
        "question_id": question_id,
    }


def _turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def check_preference(row: Mapping[str, Any], where: str) -> bytes:
    """Hold a row against the rules; returns its image's bytes.

    Raises:
        UserError: the first rule that it breaks, with `where` in front.
    """
    where = f"{where} ({row['question_id']})"
    roles = [turn["role"] for turn in row["prompt"] or []]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise UserError(
            f"{where}: the prompt's turns are {roles}; they begin and end with the user's"
        )
    parts = [part for turn in row["prompt"] for part in turn["content"]]
    marks = sum(part["type"] == "image" for part in parts)
    if marks != 1 or len(row["images"] or []) != 1:
        held = len(row["images"] or [])
        raise UserError(f"{where}: needs one image and one image part, has {held} and {marks}")
    chosen, rejected = (_answer(row, field, where) for field in ("chosen", "rejected"))
    if chosen == rejected:
        raise UserError(f"{where}: chosen and rejected are the same text: leave the row out")
    for text in (*(part["text"] or "" for part in parts), chosen, rejected):
        if "<image>" in text or OTHER_MARKS.search(text):
            raise UserError(
                f"{where}: a text holds a mark that stands for an image or other media: take it out"
            )
    return image_bytes(row["images"][0], where)


def _answer(row: Mapping[str, Any], field: str, where: str) -> str:
    turns = row[field] or []
    parts = turns[0]["content"] if [turn["role"] for turn in turns] == ["assistant"] else []
    text = "".join(part["text"] or "" for part in parts)
    if not text.strip():
        raise UserError(f"{where}: {field} must be one turn of the assistant, with text")
    return text


def preference_writer(path: Path) -> RowWriter:
    """A writer of preferences."""
    return RowWriter(path, preference_schema(), check_preference)


def load_preferences(path: Path, limit: int | None = None) -> list[Preference]:
    """Read a parquet of preferences; the first `limit`. Images stay in the file.

    Raises:
        UserError: the file is missing or corrupt, lacks a column or holds no row, or a row breaks
        a rule.
    """
    found: list[Preference] = []
    images: StoredImages | None = None
    for number, row in enumerate(read_rows(path, tuple(_FIELDS), "preferences", _MADE_BY)):
        if limit is not None and number >= limit:
            break
        where = f"{path} row {number}"
        check_preference(row, where)
        images = images or StoredImages(path)
        found.append(
            Preference(
                prompt=[_without_nulls(turn) for turn in row["prompt"]],
                image=images[number],
                chosen=_answer(row, "chosen", where),
                rejected=_answer(row, "rejected", where),
                question_id=row["question_id"],
            )
        )
    if not found:
        raise UserError(f"{path} holds no preferences: {_MADE_BY}")
    return found


def _without_nulls(turn: Mapping[str, Any]) -> dict[str, Any]:
    content = [
        {"type": "image"} if part["type"] == "image" else dict(part) for part in turn["content"]
    ]
    return {"role": turn["role"], "content": content}
