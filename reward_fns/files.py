"""Files that every part of the project writes and reads: whole or not at all, resumable,
strict JSON, clear errors.
"""

import fcntl
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from reward_fns.errors import UserError

PARTIAL_SUFFIX = ".partial"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside it first, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all."""
    write_bytes(path, text.encode())


def without_nan(value: Any) -> Any:
    """The same nested dicts and lists with None for every NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON, atomically."""
    write_text(
        path,
        json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)
        + "\n",
    )


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON or YAML file that holds a mapping.

    Raises:
        UserError: the file is missing, not readable, or holds something else.
    """
    if not path.is_file():
        raise UserError(f"no file {path}")
    try:
        content = _parse(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is neither JSON nor YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a mapping")
    return content


def _parse(text: str) -> Any:
    try:
        return json.loads(text)  # first: to YAML the number 1e-05 is a string
    except json.JSONDecodeError:
        return yaml.safe_load(text)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line, read as they are asked for; empty lines are skipped.

    Raises:
        UserError: the file is missing, or a line is no JSON object (named by its number).
    """
    if not path.is_file():
        raise UserError(f"no file {path}")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            # Bytes that are no UTF-8 are a ValueError; ten thousand brackets a RecursionError.
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{path} line {number} is not JSON ({error}): remove or mend it"
                ) from error
            if not isinstance(record, dict):
                raise UserError(f"{path} line {number} is no JSON object: remove or mend it")
            yield record


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a directory whose files grow line by line;
    the lock goes with the process, however it ends.

    A directory that was made for it goes again if the work fails before it has written anything.

    Raises:
        UserError: another process holds it; says which, and since when.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(200).strip() or "another process"
            raise UserError(
                f"{holder} works on {folder}: wait for it, end it, or give another --out"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} (since {time.strftime('%F %T')})")
        lock.flush()
        try:
            yield
        except BaseException:
            if is_new and [path.name for path in folder.iterdir()] == [".lock"]:
                (folder / ".lock").unlink()
                folder.rmdir()
            raise


class JsonlLog:
    """A JSONL file that grows batch by batch and survives a kill.

    It grows under the name ``<path>.partial`` and gets its own name from `finish`, so a file that
    exists is whole. It keeps the keys in memory, not the records.

    >>> log = JsonlLog(path, key=lambda record: record["question_id"])     # doctest: +SKIP
    >>> log.append(answers_to(q for q in questions if q.id not in log.done))   # doctest: +SKIP
    >>> log.finish()                                                       # doctest: +SKIP
    """

    def __init__(self, path: Path, key: Callable[[dict[str, Any]], str]) -> None:
        """Take up what is there: the partial file of a run that was killed, else the finished file.

        Raises:
            UserError: a line other than a torn last one is malformed.
        """
        self.path = path
        self._key = key
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        if self._partial.exists():
            drop_torn_line(self._partial)
        source = self._partial if self._partial.exists() else path
        self.done: set[str] = (
            {key(record) for record in read_jsonl(source)} if source.exists() else set()
        )

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Add records; they are on disk when this returns."""
        records = list(records)
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        if not self._partial.exists():
            write_bytes(self._partial, self.path.read_bytes() if self.path.exists() else b"")
        lines = "".join(
            json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records
        )
        with self._partial.open("a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        self.done |= {self._key(record) for record in records}

    def finish(self) -> None:
        """All records are there: give the file its name. Without any record the file is empty."""
        if not self._partial.exists() and not self.path.exists():
            write_bytes(self.path, b"")
        if self._partial.exists():
            os.replace(self._partial, self.path)


def drop_torn_line(path: Path) -> None:
    """Cut what a kill left after the last newline."""
    with path.open("rb+") as file:
        file.seek(0, os.SEEK_END)
        end = position = file.tell()
        while position > 0:
            start = max(0, position - 65536)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            position = start
        if end:
            file.truncate(0)
