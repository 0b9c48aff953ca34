"""What a benchmark asks: one question about one image, whose file is read when it is asked."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_fns.errors import UserError


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        item_id: unique in its benchmark.
        image_id: questions with the same one are about the same image.
        path: the image's file, or `encoded`: the image in base64.
        yes_no: it is answered by yes or no.
    """

    item_id: str
    image_id: str
    question: str
    path: Path | None = None
    encoded: str = ""
    yes_no: bool = False

    def image(self) -> bytes:
        """The encoded image. Raises UserError if there is none to be read."""
        try:
            return self.path.read_bytes() if self.path else base64.b64decode(self.encoded)
        except (OSError, binascii.Error) as error:
            raise UserError(
                f"question {self.item_id}: its image cannot be read ({error}): "
                "see eval/benchmarks/README.md for where the images are expected"
            ) from error


def find_image(folders: Sequence[Path], names: Iterable[str], what: str) -> Path:
    """The first of some file names in the first folder that has one.

    Raises:
        UserError: none has any.
    """
    names = list(names)
    for folder in folders:
        for name in names:
            if name and (folder / name).is_file():
                return folder / name
    places = ", ".join(map(str, folders))
    raise UserError(f"{what}: no image {' or '.join(filter(None, names))} in {places}")


def read_records(path: Path) -> list[dict[str, Any]]:
    """The objects of a file: one JSON array, or one object a line.

    Raises:
        UserError: neither, or the file is missing.
    """
    if not path.is_file():
        raise UserError(f"no file {path}: see eval/benchmarks/README.md for where it comes from")
    text = path.read_text(encoding="utf-8")
    try:
        if text.lstrip().startswith("["):
            content = json.loads(text)
        else:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise UserError(
            f"{path} is neither a JSON array nor JSON lines ({error}): fetch it again"
        ) from error
    if not all(isinstance(record, dict) for record in content):
        raise UserError(f"{path} holds something else than JSON objects: fetch it again")
    return list(content)


def field(record: Mapping[str, Any], name: str, where: str) -> str:
    """A field as text. Raises UserError where the record lacks it."""
    if record.get(name) is None:
        raise UserError(f"{where} lacks {name!r}: is it a file of this benchmark?")
    return str(record[name])
