"""RLAIF-V-Dataset: one download that holds questions and pictures of all fourteen datasets
of the paper's Table 13.

    *.parquet   ds_name, image {bytes, path}, question, chosen, rejected, origin_dataset,
                origin_split, idx, image_path (and logps in copies made for training)

Its 83,132 pairs are as many as Table 13's questions, and `origin_dataset` is spelled
like the paper's tags, so it most probably is the paper's data. Licence: CC BY-NC
4.0, not for commercial use.

A row is a question of the dataset that it comes from, whatever the capitals and signs of its
spelling; its task is that of Table 13. Several pairs about one question are several questions, as
the paper counts them: they are told apart by `idx`, and all go to one side of the splits, by their
picture. A picture is known by COCO's number where its file is named by it, else by its bytes. The
reference is `chosen`, the better of two answers of a model: `reference: none` leaves it out, and
the expert judges by the picture alone. There are no annotators' answers.

Under the name `rlaif_v` a dataset is all fourteen, each question under its own tag; under a tag
of Table 13 ({name: COCO, kind: rlaif_v, ...}) it is that one. Shards are read as a stream, in
the order of their names.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.datasets.common import (
    Item,
    attempt,
    coco_number,
    matching,
    parquet_rows,
    text,
)
from data_prep.questions import Rejected, SourceQuestion
from reward_fns.errors import UserError
from reward_fns.paper_tables import TABLES_1_AND_4

COLUMNS = ("image", "question", "chosen", "origin_dataset", "idx", "image_path")
"""What is read of a shard."""

REFERENCES = ("chosen", "none")
OF_COCO = ("COCO", "VQAv2", "OK-VQA")
"""Tags whose pictures may bear COCO's number alone as their name."""

_SOURCE = "Hugging Face, openbmb/RLAIF-V-Dataset"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_OTHER_NAMES = {
    "MSCOCO": "COCO",
    "COCO2017": "COCO",
    "Google-Landmark-v2": "Google-Landmark",
    "Google-Landmarks": "Google-Landmark",
    "GLDv2": "Google-Landmark",
}
TAGS = {_plain(tag): tag for tag in TABLES_1_AND_4} | {
    _plain(name): tag for name, tag in _OTHER_NAMES.items()
}
"""`origin_dataset` in small letters and digits alone -> tag of Table 13."""


def rlaif_v(
    dataset: str, root: Path, *, file: str = "**/*.parquet", reference: str = "chosen"
) -> Iterator[Item]:
    """RLAIF-V; `file` names its shards, a glob under root.

    Raises:
        UserError: no shard, one that is no parquet or lacks a column, another
            reference, or no row of this tag.
    """
    for item, _ in rlaif_v_rows(dataset, root, file=file, reference=reference):
        yield item


def rlaif_v_rows(
    dataset: str,
    root: Path,
    *,
    file: str = "**/*.parquet",
    reference: str = "chosen",
    columns: Sequence[str] = COLUMNS,
) -> Iterator[tuple[Item, dict[str, Any]]]:
    """As `rlaif_v`, each item with the row that it was made from, of these columns."""
    if reference not in REFERENCES:
        raise UserError(
            f"{dataset}: reference is one of {', '.join(REFERENCES)}, got {reference!r}"
        )
    if dataset not in ("rlaif_v", *TABLES_1_AND_4):
        tags = ", ".join(TABLES_1_AND_4)
        raise UserError(f"{dataset}: of RLAIF-V the name is rlaif_v for all, or one of {tags}")
    shards = matching(root, file, _SOURCE)
    wanted = set(TABLES_1_AND_4) if dataset == "rlaif_v" else {dataset}
    seen: Counter[str] = Counter()
    pictures: dict[bytes, str] = {}
    found: set[str] = set()
    for place, row in parquet_rows(shards, columns):
        tag = attempt(dataset, place, _tag, row)
        if isinstance(tag, Rejected):
            yield tag, row
            continue
        found.add(tag)
        if tag in wanted:
            yield attempt(tag, place, _question, row, tag, root, reference, seen, pictures), row
    if dataset != "rlaif_v" and dataset not in found:
        raise UserError(
            f"{root / file} holds no question of {dataset}: it has {', '.join(sorted(found))}"
        )


def _tag(row: dict[str, Any]) -> str:
    origin = text(row, "origin_dataset")
    if _plain(origin) not in TAGS:
        raise ValueError(f"origin_dataset {origin!r} is none of Table 13")
    return TAGS[_plain(origin)]


def _question(
    row: dict[str, Any],
    tag: str,
    root: Path,
    reference: str,
    seen: Counter[str],
    pictures: dict[bytes, str],
) -> SourceQuestion:
    question, chosen = text(row, "question"), text(row, "chosen")
    image, image_id = _picture(row, root, tag in OF_COCO, pictures)
    if row["idx"] is None:
        raise KeyError("idx")
    question_id = f"{tag}/{row['idx']}"
    seen[question_id] += 1
    if seen[question_id] > 1:  # another pair under the same number
        question_id += f"-{seen[question_id]}"
    return SourceQuestion(
        question_id=question_id,
        dataset=tag,
        task=TABLES_1_AND_4[tag][0],
        question=question,
        image_id=image_id,
        image=image,
        ground_truth=chosen if reference == "chosen" else "",
    )


def _picture(
    row: dict[str, Any], root: Path, of_coco: bool, pictures: dict[bytes, str]
) -> tuple[bytes | Path, str]:
    """The picture, and its id: the one under which its bytes were met first."""
    held = row["image"] or {}
    content, path = held.get("bytes"), held.get("path") or row.get("image_path") or ""
    number = coco_number(row.get("image_path") or path, of_coco)
    if not content:
        if not path:
            raise ValueError("image holds neither bytes nor a path")
        return root / path, f"coco/{number}" if number else f"rlaif-v/{path}"
    digest = hashlib.sha256(content).digest()
    own = f"coco/{number}" if number else f"rlaif-v/{digest.hex()}"
    return content, pictures.setdefault(digest, own)
