"""Images of questions as data URIs: read for the questions asked for only, and kept small.

A PNG, JPEG or WebP of at most 24 kB and 384 pixels a side stays as it is; another is
scaled down to that and written as JPEG. So two dozen add up to well under two megabytes,
whatever the source holds.
"""

import base64
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from data_prep.verl_rows import read_rows
from data_prep.verl_rows.schema import image_bytes

_SIDE, _BYTES, _QUALITY = 384, 24_000, 80
_AS_THEY_ARE = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


@dataclass(frozen=True)
class Picture:
    """A question's image and reference answer; width and height in pixels of the image embedded."""

    uri: str
    width: int
    height: int
    reference: str


def read_pictures(questions: Path, wanted: Collection[str]) -> dict[str, Picture]:
    """Question id -> picture, for the ids of `wanted` that the parquet holds.

    Raises:
        UserError: the file is missing or no parquet of questions, or an image cannot be read.
    """
    found: dict[str, Picture] = {}
    for number, row in enumerate(read_rows(questions)):
        question_id = str((row["extra_info"] or {}).get("question_id"))
        if question_id not in wanted or question_id in found:
            continue
        content = image_bytes((row["images"] or [None])[0], f"{questions} row {number}")
        reference = str((row["reward_model"] or {}).get("ground_truth") or "")
        found[question_id] = _picture(content, reference)
        if len(found) == len(wanted):
            break
    return found


def _picture(content: bytes, reference: str) -> Picture:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        kind = _AS_THEY_ARE.get(image.format or "")
        if kind is None or len(content) > _BYTES or max(image.size) > _SIDE:
            small = image.convert("RGB")
            small.thumbnail((_SIDE, _SIDE))
            written = io.BytesIO()
            small.save(written, "JPEG", quality=_QUALITY, optimize=True)
            kind, content, size = "image/jpeg", written.getvalue(), small.size
        else:
            size = image.size
    return Picture(f"data:{kind};base64,{base64.b64encode(content).decode()}", *size, reference)
