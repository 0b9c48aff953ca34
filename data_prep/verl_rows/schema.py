"""Schema and rules of verl's parquet rows.

A row of questions (RL training, evaluation):

    data_source     dataset tag: chooses the reward's coefficients
    prompt          chat turns {role, content}; one `<image>` mark in all
    images          one image: {"bytes": PNG or JPEG} or {"image": absolute path}; one kind in a
                    whole file, because verl opens the field "bytes" wherever it is there,
                    filled or not
    ability         the task
    reward_model    {style: "rule", ground_truth: text that the expert reads}
    extra_info      what reward and evaluation slices need:
        split, index                     "train" | "test" | "selection", position in the file
        question_id, question, task      the id is unique in a file; task is "QA" | "Detail"
        image_id                         images with the same id are the same image
        entity                           first named entity, "" if none
        answers                          reference answers of the dataset's own
                                         accuracy rule, may be empty
        subset                           "entailment" | "contradiction" | "neutral" |
                                         "unpaired", "" if not known
        share_true, vote_margin          of the question's sampled answers, in [0, 1]
        entity_rarity, entity_count      of its Better answer, >= 0
        (the last four are null where stage one did not measure them)

A row of SFT: `messages` (user, assistant; one `<image>`, in the user's), `images` as above,
`data_source`, `question_id`, which several rows may share: different answers to one question.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from data_prep.verl_rows.image_files import NoRegularFileError, check_picture, read_file
from reward_fns.errors import UserError

ImageKind = Literal["bytes", "image"]
TASKS = ("QA", "Detail")
SUBSETS = ("entailment", "contradiction", "neutral", "unpaired", "")
COLUMNS = ("data_source", "prompt", "images", "reward_model", "extra_info")
NEEDED = ("question_id", "question", "task", "image_id", "entity")
_RANGES = {
    "share_true": 1.0,
    "vote_margin": 1.0,
    "entity_rarity": math.inf,
    "entity_count": math.inf,
}

_TURNS = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
_EXTRA_INFO = pa.struct(
    {
        "split": pa.string(),
        "index": pa.int64(),
        **dict.fromkeys(NEEDED, pa.string()),
        "answers": pa.list_(pa.string()),
        "subset": pa.string(),
        "share_true": pa.float64(),
        "vote_margin": pa.float64(),
        "entity_rarity": pa.float64(),
        "entity_count": pa.int64(),
    }
)


def _images(kind: ImageKind) -> pa.DataType:
    return pa.list_(pa.struct({kind: pa.binary() if kind == "bytes" else pa.string()}))


def question_schema(images: ImageKind) -> pa.Schema:
    """Schema of a file of questions whose images are kept as bytes, or referred to by path."""
    return pa.schema(
        {
            "data_source": pa.string(),
            "prompt": _TURNS,
            "images": _images(images),
            "ability": pa.string(),
            "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.string()}),
            "extra_info": _EXTRA_INFO,
        }
    )


def sft_schema(images: ImageKind) -> pa.Schema:
    """Schema of a file of SFT rows."""
    fields = {
        "messages": _TURNS,
        "images": _images(images),
        "data_source": pa.string(),
        "question_id": pa.string(),
    }
    return pa.schema(fields)


def chat_content(text: str) -> list[dict[str, str]]:
    """Split text at its `<image>` marks into content parts, as the recipe's datasets do
    for SFT and the rollout.

    A newline after a mark belongs to the mark: the chat templates of LLaVA-1.5 write their own.

    >>> chat_content("<image>\\nWhich digit?")
    [{'type': 'image'}, {'type': 'text', 'text': 'Which digit?'}]
    """
    parts = [part for part in re.split("(<image>)\n?", text) if part]
    return [
        {"type": "image"} if part == "<image>" else {"type": "text", "text": part} for part in parts
    ]


def check_question(row: Mapping[str, Any], where: str) -> bytes:
    """Hold a row of questions against the rules; returns its image's bytes.

    Raises:
        UserError: the first rule that it breaks, with `where` in front.
    """
    info = row["extra_info"] or {}
    if missing := [name for name in NEEDED if info.get(name) is None]:
        raise UserError(f"{where}: extra_info lacks {missing[0]}; it needs {', '.join(NEEDED)}")
    if not row["data_source"]:
        raise UserError(f"{where}: data_source is empty; it is the dataset's tag")
    if info["task"] not in TASKS:
        raise UserError(f"{where}: task is {info['task']!r}; it must be QA or Detail")
    if info.get("subset") not in (None, *SUBSETS):
        raise UserError(
            f"{where}: subset is {info['subset']!r}; it must be one of "
            f"{', '.join(SUBSETS[:-1])} or empty"
        )
    for name, highest in _RANGES.items():
        value = info.get(name)
        if value is not None and not 0 <= value <= highest:
            raise UserError(
                f"{where}: {name} is {value}; it must be at least 0"
                + (" and at most 1" * (highest == 1))
            )
    if (row["reward_model"] or {}).get("ground_truth") is None:
        raise UserError(f"{where}: reward_model lacks ground_truth")
    return _check_image(row["prompt"], row["images"], where)


def check_sft(row: Mapping[str, Any], where: str) -> bytes:
    """The same for a row of SFT."""
    if not row["question_id"] or not row["data_source"]:
        raise UserError(f"{where}: question_id or data_source is empty")
    turns = [turn["role"] for turn in row["messages"]]
    if turns != ["user", "assistant"]:
        raise UserError(f"{where}: messages are {turns}; SFT needs one user and one assistant turn")
    if not row["messages"][1]["content"].strip():
        raise UserError(f"{where}: the assistant's turn is empty")
    if row["messages"][1]["content"][0].isspace():
        raise UserError(
            f"{where}: the assistant's turn begins with a blank; the chat template adds its own, "
            "and the model would learn to write two: strip it"
        )
    return _check_image(row["messages"], row["images"], where)


OTHER_MARKS = re.compile(r"<(video|audio)>|<\|(vision|image|video|audio)_\w+\|>")
"""What verl and the processors take for a place of a video, a sound, or a picture's tokens."""


def _check_image(turns: list[dict[str, Any]], images: list[Any] | None, where: str) -> bytes:
    marks = sum(part["type"] == "image" for turn in turns for part in chat_content(turn["content"]))
    if marks != 1 or len(images or []) != 1:
        raise UserError(
            f"{where}: needs one image and one <image> mark, has {len(images or [])} and {marks}"
        )
    for turn in turns:
        if found := OTHER_MARKS.search(turn["content"]):
            raise UserError(
                f"{where}: the {turn['role']}'s text holds {found[0]}, which verl or the "
                "processor would take for a place of media that is not there: write it otherwise"
            )
    return image_bytes((images or [None])[0], where)


def image_bytes(image: Mapping[str, Any] | None, where: str) -> bytes:
    """The encoded image, read from its file if it is a reference.

    Raises:
        UserError: neither bytes nor a reference, no such file, or no image that can be read.
    """
    held: Mapping[str, Any] = image or {}
    content: bytes | None = held.get("bytes")
    if not content and (reference := held.get("image")):
        file = Path(str(reference).removeprefix("file://"))
        try:
            content = read_file(file)
        except NoRegularFileError as error:
            raise UserError(
                f"{where}: image {reference} is no regular file: mend the path"
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise UserError(
                f"{where}: image {reference} cannot be opened ({reason}): mend the path"
            ) from error
    if not content:
        raise UserError(
            f"{where}: the image holds no bytes; write it as {{'bytes': <PNG>}} "
            "or {'image': <path>}"
        )
    try:
        check_picture(content, decode=False)
    except ValueError as error:
        raise UserError(f"{where}: the image cannot be read ({error})") from error
    return content
