"""What a benchmark asks: one question about one image, whose file is read when it is asked.

A record that is broken, or whose image is, is named and left out, and the others are asked. A file
that is missing is not: it has not been put there yet.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from data_prep.verl_rows import OTHER_MARKS
from data_prep.verl_rows.image_files import NoRegularFileError, check_picture, read_file
from reward_fns.errors import UserError

T = TypeVar("T")


class BrokenRecordError(UserError):
    """One record cannot be used; its message names it."""


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
            return read_file(self.path) if self.path else base64.b64decode(self.encoded)
        except (OSError, binascii.Error, ValueError) as error:
            raise BrokenRecordError(
                f"question {self.item_id}: its image cannot be read ({error}): "
                "see eval/benchmarks/README.md for where the images are expected"
            ) from error

    def check(self) -> None:
        """Whether it can be asked.

        Raises:
            BrokenRecordError: its texts cannot be written, or hold a mark that stands for an image,
                or its image cannot be read to the end.
        """
        for text in (self.item_id, self.image_id, self.question):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise BrokenRecordError("a text of it is not valid Unicode") from error
        if "<image>" in self.question or OTHER_MARKS.search(self.question):
            raise BrokenRecordError("its question holds a mark that stands for an image")
        torn = _of_file(self.path) if self.path else _why_torn(self.image())
        if torn:
            raise BrokenRecordError(f"its image cannot be read ({torn})")


def _of_file(path: Path) -> str:
    return _torn(path, path.stat().st_mtime_ns)


@cache
def _torn(path: Path, changed: int) -> str:
    """Why an image file cannot be shown, "" if it can;
    looked at once, however many ask about it.
    """
    try:
        return _why_torn(read_file(path))
    except OSError as error:
        return str(error)


def _why_torn(content: bytes) -> str:
    try:
        check_picture(content, decode=True)
    except ValueError as error:
        return str(error)
    return ""


def find_image(folders: Sequence[Path], names: Iterable[str], what: str) -> Path:
    """The first of some file names in the first folder that has one.

    Raises:
        BrokenRecordError: a name leads out of the folder, or to no regular file.
        UserError: none has any.
    """
    names = [name for name in names if name]
    for folder in folders:
        for name in names:
            parts = PurePosixPath(name).parts
            if PurePosixPath(name).is_absolute() or ".." in parts or "\0" in name:
                raise BrokenRecordError(f"image {name!r} is no path under {folder}")
            try:
                if (folder / name).is_file():
                    return folder / name
                if (folder / name).exists() and not (folder / name).is_dir():
                    raise BrokenRecordError(f"image {name}: {NoRegularFileError()}")
            except OSError as error:  # a name that is too long
                raise BrokenRecordError(f"image {name[:80]!r}: {error.strerror}") from error
    places = ", ".join(map(str, folders))
    raise UserError(f"{what}: no image {' or '.join(names)} in {places}")


def read_each(
    path: Path, read: Callable[[dict[str, Any], str, int], T], left_out: list[str]
) -> Iterator[T]:
    """What `read` makes of each record of a file, given the record, its place and its number.

    Args:
        path: one JSON array of objects, or one object a line.
        left_out: takes a line for each record that is broken.

    Raises:
        UserError: the file is missing or no such file, or no record of it can be used.
    """
    before, used = len(left_out), 0
    for number, record in _records(path, left_out):
        where = f"{path} record {number}"
        try:
            made = read(record, where, number)
        except BrokenRecordError as error:
            left_out.append(f"{where}: {error}")
            continue
        except KeyError as error:
            left_out.append(f"{where} lacks {error}")
            continue
        except (TypeError, AttributeError) as error:
            left_out.append(f"{where} is malformed ({error})")
            continue
        used += 1
        yield made
    if not used:
        first = left_out[before] if len(left_out) > before else "it holds none"
        raise UserError(f"{path}: no record can be used: {first}: fetch it again")


def _records(path: Path, left_out: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, (found, error) in enumerate(_values(path)):
        if isinstance(found, dict):
            yield number, found
        else:
            left_out.append(f"{path} record {number}: {error or 'is no JSON object'}")


def _values(path: Path) -> Iterator[tuple[Any, str]]:
    """Each value of a file, or why there is none."""
    if not path.is_file():
        raise UserError(f"no file {path}: see eval/benchmarks/README.md for where it comes from")
    content = path.read_bytes()
    if content.lstrip().startswith(b"["):
        try:
            values = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path} is neither a JSON array nor JSON lines ({error}): fetch it again"
            ) from error
        yield from ((value, "") for value in values)
        return
    # By the newline alone: JSON's texts may hold the other line breaks.
    for line in filter(bytes.strip, content.split(b"\n")):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield None, f"is not JSON ({error})"
        else:
            yield value, ""


def field(record: Mapping[str, Any], name: str) -> str:
    """A field as text. Raises BrokenRecordError where the record lacks it."""
    if record.get(name) is None:
        raise BrokenRecordError(f"lacks {name!r}: is it a file of this benchmark?")
    return str(record[name])
