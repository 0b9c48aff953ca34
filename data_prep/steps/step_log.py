"""Record files of a run's steps: one entry for each input, in the input's order,
taken up again after a kill.

While a step runs it appends to one partial file, a line an input: its record, or why there
is none. At the end the file is split into the step's records and its failures, both
written whole, and counted:

    in = out + dropped        (`Counts` raises if it does not add up)

Work goes in chunks whose borders depend on the position in the input alone. A chunk that a kill
tore is computed again as a whole and only the missing lines are added, so that a result that
depends on what stands beside it in a batch (in the last digits of a float, say) is the same in an
interrupted and an uninterrupted run.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from data_prep.questions import SourceQuestion
from reward_fns.errors import UserError
from reward_fns.files import drop_torn_line, read_jsonl

Record = dict[str, Any]
T = TypeVar("T")
_FAILED = "failed"


@dataclass(frozen=True)
class Failure:
    """An input that gave no record.

    Attributes:
        place: the question_id, or where a record without one stands.
        reason: a category of few words, counted.
        detail: what is wrong with this one.
        again: asking again may help (a server was down), so the next run of the step does.
    """

    dataset: str
    place: str
    reason: str
    detail: str = ""
    again: bool = False


@dataclass(frozen=True)
class Counts:
    """What went in, what came out and what was dropped, by reason.

    Attributes:
        notes: of those that came out, how many carry a `reason` (kept, but
            without what the step gives).
        again: entries that the next run asks for again.

    Raises:
        RuntimeError: the numbers do not add up: a record was lost or doubled.
    """

    n_in: int
    n_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    again: int = 0

    def __post_init__(self) -> None:
        if self.n_in != self.n_out + sum(self.dropped.values()):
            raise RuntimeError(f"counts do not add up: {self}")


class StepLog:
    """The growing file of one step.

    >>> log = StepLog(partial, records, failures)                        # doctest: +SKIP
    >>> for chunk in log.chunks(read_questions(path), 256):              # doctest: +SKIP
    ...     log.write([record_of(question) for question in chunk])
    >>> counts = log.finish()                                            # doctest: +SKIP

    Args:
        partial: its name must tell inputs and configuration apart, for what it holds is taken over.
        records, failures: the files that `finish` writes.
    """

    def __init__(self, partial: Path, records: Path, failures: Path) -> None:
        self.partial, self._records, self._failures = partial, records, failures
        self.n_done = 0
        self._present = 0  # lines of the current chunk that are on disk already
        self._expected = 0
        if partial.exists():
            drop_torn_line(partial)
            with partial.open("rb") as lines:
                self.n_done = sum(1 for _ in lines)

    def chunks(self, inputs: Iterable[T], size: int) -> Iterator[list[T]]:
        """The inputs that have no line yet, `size` at a time, the last chunk shorter; each
        is answered by `write`.
        """
        iterator = iter(inputs)
        whole = self.n_done - self.n_done % size
        for _ in islice(iterator, whole):
            pass
        self._present = self.n_done - whole
        while chunk := list(islice(iterator, size)):
            self._expected = len(chunk)
            if self._present < len(chunk):
                yield chunk
            self._present = 0

    def write(self, entries: Sequence[Record | Failure]) -> None:
        """Add the entries of a whole chunk; they are on disk when this returns.

        Raises:
            ValueError: not one entry for each input.
            OSError: the disk is full, ...; what was written before stays good.
        """
        if len(entries) != self._expected:
            raise ValueError(f"{len(entries)} entries for {self._expected} inputs")
        lines = [
            {_FAILED: asdict(entry)} if isinstance(entry, Failure) else entry
            for entry in entries[self._present :]
        ]
        text = "".join(
            json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines
        )
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        with self.partial.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.n_done += len(lines)

    def finish(self) -> Counts:
        """Write the step's two files from the partial one, which stays until the caller
        has recorded the step.
        """
        n_out, again = 0, 0
        dropped, notes = Counter[str](), Counter[str]()
        with RecordFile(self._records) as records, RecordFile(self._failures) as failures:
            for line in read_jsonl(self.partial) if self.partial.exists() else ():
                if failed := line.get(_FAILED):
                    failure = Failure(**failed)
                    again += failure.again
                    dropped[failure.reason] += 1
                    failures.add(failure)
                    continue
                n_out += 1
                again += line.pop("again", False)
                if line.get("reason"):
                    notes[line["reason"]] += 1
                records.add(line)
        return Counts(
            n_out + dropped.total(),
            n_out,
            dict(sorted(dropped.items())),
            dict(sorted(notes.items())),
            again,
        )


class RecordFile:
    """A JSONL file that gets its name when all of it is written."""

    def __init__(self, path: Path) -> None:
        self._path, self._beside = path, path.with_name(f".{path.name}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "RecordFile":
        self._file = self._beside.open("w", encoding="utf-8")
        return self

    def add(self, entry: Record | Failure) -> None:
        """Add a line."""
        record = _failure_record(entry) if isinstance(entry, Failure) else entry
        self._file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()
            if kind is None:
                self._beside.replace(self._path)
        finally:
            self._beside.unlink(missing_ok=True)


def _failure_record(failure: Failure) -> Record:
    return {key: value for key, value in asdict(failure).items() if key != "again"}


def join(
    questions: Iterable[SourceQuestion], *paths: Path
) -> Iterator[tuple[SourceQuestion, tuple[Record | None, ...]]]:
    """Walk the questions and files of their records side by side; None where a file has
    no record of a question.

    Raises:
        UserError: a file holds a record that is not of these questions, or
            stands out of their order.
    """
    files = [_Walk(path) for path in paths]
    for question in questions:
        yield question, tuple(file.take(question.question_id) for file in files)
    for file in files:
        file.expect_end()


class _Walk:
    def __init__(self, path: Path) -> None:
        self._path, self._records = path, read_jsonl(path)
        self._next = next(self._records, None)

    def take(self, question_id: str) -> Record | None:
        """The record of this question if it is the next one."""
        if self._next is None or self._next.get("question_id") != question_id:
            return None
        record, self._next = self._next, next(self._records, None)
        return record

    def expect_end(self) -> None:
        if self._next is not None:
            raise UserError(
                f"{self._path}: the record of {self._next.get('question_id')!r} is not in the "
                "order of the questions: delete the file and run its step again"
            )
