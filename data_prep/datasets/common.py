"""What the adapters share: an item a record, publishers' files read as a stream, errors that
name what is missing.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Any, ParamSpec, TypeVar

from data_prep.datasets.sources import note
from data_prep.questions import ROW_GROUP, Rejected, SourceQuestion
from data_prep.verl_rows.batches import rows_of
from reward_fns.errors import UserError

Item = SourceQuestion | Rejected
Arguments = ParamSpec("Arguments")
Built = TypeVar("Built")

_CHUNK = 1 << 20
_ARRAY = re.compile(r"\s*\[\s*")
_OBJECT = re.compile(r"\s*\{\s*")
_COLON = re.compile(r"\s*:\s*")
_SEPARATOR = re.compile(r"\s*(?:,\s*|(?=[\]}]))")
_COCO = re.compile(r"(?P<named>COCO_(?:train|val|test)20\d\d_)?(?<!\d)(?P<number>\d{12})$")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")


def coco_number(name: str, of_coco: bool) -> int | None:
    """The number in COCO of a picture, by the name of its file; None if it does not bear one.

    Args:
        of_coco: the picture is known to be COCO's, so that the number may stand
            alone (as in 2017's names).

    >>> coco_number("val2014/COCO_val2014_000000262148.jpg", False)
    262148
    >>> coco_number("000000262148.jpg", True)
    262148
    """
    found = _COCO.search(PurePosixPath(name).stem)
    return int(found["number"]) if found and (of_coco or found["named"]) else None


def is_url(value: object) -> bool:
    """Whether it is text that names a place on the network, or a file by a URL."""
    return isinstance(value, str) and _URL.match(value) is not None


def there(path: Path) -> bool:
    """Whether there is such a file or folder; noted as something that the dataset depends on."""
    note(path)
    return path.exists()


def matching(root: Path, pattern: str, source: str = "") -> list[Path]:
    """The files `root / pattern`, a name or a glob ("data/train-*.parquet"), in
    the order of their names.

    Raises:
        UserError: there is none.
    """
    named = root / pattern
    if there(named) and named.is_file():
        return [named]
    matches = (root / name for name in glob(pattern, root_dir=root, recursive=True))
    found = sorted(path for path in matches if path.is_file())
    if not found:
        raise UserError(f"no file {named}{f' ({source})' if source else ''}: correct root and file")
    for path in (*found, root, *(path.parent for path in found)):
        note(path)
    return found


def parquet_rows(
    paths: Iterable[Path], columns: Sequence[str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """("FILE row N", row) of parquet files, a row group's part at a time.

    Args:
        columns: those that are read; None for all.

    Raises:
        UserError: a file is no parquet, or lacks a column; names the file.
    """
    import pyarrow
    import pyarrow.parquet

    for path in paths:
        number = 0
        try:
            with pyarrow.parquet.ParquetFile(path) as table:
                lacking = [name for name in columns or () if name not in table.schema_arrow.names]
                if lacking:
                    raise UserError(
                        f"{path} has no column {lacking[0]}: it is not the published file"
                    )
                for batch in table.iter_batches(batch_size=ROW_GROUP, columns=columns):
                    for row in rows_of(batch):
                        yield f"{path.name} row {number}", row
                        number += 1
        except pyarrow.ArrowException as error:
            raise UserError(
                f"{path} is not a readable parquet file "
                f"({str(error).splitlines()[0]}): make it anew"
            ) from error


def published(root: Path, name: str, source: str) -> Path:
    """The file or folder `root / name`.

    Args:
        source: where its publisher has it: the download page by its title.

    Raises:
        UserError: it is not there.
    """
    path = root / name
    if not there(path):
        raise UserError(
            f"no {path}: unpack it there as published ({source}), or correct root and split"
        )
    return path


def attempt(
    dataset: str,
    place: str,
    build: Callable[Arguments, Built],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Built | Rejected:
    """What `build` makes of a record (a question), or the record rejected with what it lacks."""
    try:
        return build(*args, **kwargs)
    except KeyError as error:
        return Rejected(dataset, place, "malformed record", f"no {error.args[0]}")
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        return Rejected(dataset, place, "malformed record", str(error))


def text(record: Any, field: str) -> str:
    """A field that holds text.

    Raises:
        KeyError: the field is missing or null.
        ValueError: it is no text, or an empty one; or the record is no object.
    """
    if not isinstance(record, dict):
        raise ValueError("is no object")
    if record.get(field) is None:
        raise KeyError(field)
    value = record[field]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field} is {'empty' if isinstance(value, str) else 'no text'}")
    return value.strip()


def read_json(path: Path) -> Any:
    """A JSON file, loaded whole.

    Raises:
        UserError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): fetch it anew") from error


def read_object(path: Path, *arrays: str) -> dict[str, Any]:
    """A JSON file that holds an object with these arrays, loaded whole.

    Raises:
        UserError: it is not JSON, no object, or lacks an array.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(
            f"{path} holds no JSON object: it is not the file that its publisher has by this name"
        )
    if missing := [field for field in arrays if not isinstance(content.get(field), list)]:
        raise UserError(
            f"{path} lacks the array {missing[0]!r}: it is not its publisher's file of this name"
        )
    return content


def read_array(path: Path) -> Iterator[Any]:
    """The items of a JSON file that holds an array, decoded one by one: memory
    does not grow with the file.

    Raises:
        UserError: the file holds no array, or is torn or malformed; names the item.
    """
    yield from _read_items(path, _ARRAY, "]", "JSON array", _decode_value)


def read_members(path: Path) -> Iterator[tuple[str, Any]]:
    """(name, value) of the members of a JSON file that holds an object, as `read_array`.

    Raises:
        UserError: the file holds no object, or is torn or malformed; names
            the member by its number.
    """
    yield from _read_items(path, _OBJECT, "}", "JSON object", _decode_member)


def _decode_value(decoder: json.JSONDecoder, buffer: str, position: int) -> tuple[Any, int]:
    return decoder.raw_decode(buffer, position)


def _decode_member(
    decoder: json.JSONDecoder, buffer: str, position: int
) -> tuple[tuple[str, Any], int]:
    name, end = decoder.raw_decode(buffer, position)
    colon = _COLON.match(buffer, end)
    if not isinstance(name, str) or colon is None:
        raise json.JSONDecodeError("no member of an object", buffer, end)
    value, end = decoder.raw_decode(buffer, colon.end())
    return (name, value), end


def _read_items(
    path: Path,
    opening: re.Pattern[str],
    closing: str,
    kind: str,
    decode: Callable[[json.JSONDecoder, str, int], tuple[Any, int]],
) -> Iterator[Any]:
    decoder, index, position = json.JSONDecoder(), 0, 0
    try:
        with path.open(encoding="utf-8") as file:
            buffer = file.read(_CHUNK)
            start = opening.match(buffer)
            if start is None:
                raise UserError(
                    f"{path} holds no {kind}: it is not the file that its "
                    "publisher has by this name"
                )
            position = start.end()
            while not buffer.startswith(closing, position):
                try:
                    item, end = decode(decoder, buffer, position)
                    separator = _SEPARATOR.match(buffer, end)
                    if separator is None:  # it stands in the next chunk, or a number goes on there
                        raise json.JSONDecodeError(
                            "no comma or end of the file's list", buffer, end
                        )
                except json.JSONDecodeError as error:
                    more = file.read(max(_CHUNK, len(buffer)))
                    if not more:
                        raise UserError(
                            f"{path} is broken at item {index} ({error.msg}): fetch it anew"
                        ) from error
                    buffer, position = (buffer[position:] + more).lstrip(), 0
                    continue
                yield item
                index, position = index + 1, separator.end()
    except UserError:
        raise
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 near item {index}: fetch it anew") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; 20,000 brackets
        raise UserError(f"{path} is broken at item {index} ({error}): fetch it anew") from error


def read_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """("FILE line N", line without its end) of a text file; empty lines are skipped."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{path.name} line {number}", line.rstrip(b"\r\n")


def fields_of(line: bytes, delimiter: str = ",", quoted: bool = True) -> list[str]:
    """The fields of one line of a delimited file.

    Raises:
        ValueError: the line is not UTF-8.
    """
    content = line.decode("utf-8-sig")
    return next(csv.reader([content], delimiter=delimiter)) if quoted else content.split(delimiter)


def record_of(
    line: bytes, columns: list[str], delimiter: str = ",", quoted: bool = True
) -> dict[str, str]:
    """One line of a delimited file as a record.

    Raises:
        ValueError: not UTF-8, or another number of fields than columns.
    """
    values = fields_of(line, delimiter, quoted)
    if len(values) != len(columns):
        raise ValueError(f"has {len(values)} fields instead of {len(columns)}")
    return dict(zip(columns, values, strict=True))


def folder(root: Path, images: str | os.PathLike[str] | None, default: str) -> Path:
    """The folder of the images: `images` (absolute, or under root) or the publisher's own."""
    return root / (default if images is None else images)
