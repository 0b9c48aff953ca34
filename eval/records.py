"""Answer records: one JSON object a line, written by `python -m eval records`, read by the report and by data_prep.

While a file grows, finished answers are appended to `<file>.partial`; it is renamed when all are there, so `<file>`
exists only whole. After a kill the next run keeps every whole line of the partial file and asks for the rest.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from reward_fns.errors import UserError
from reward_fns.files import PARTIAL_SUFFIX, drop_torn_line, write_text


@dataclass(frozen=True)
class AnswerRecord:
    """One answer of one model, judged. `confidence` is None when the answer states none that can be read."""

    model: str
    protocol: str
    dataset: str
    task: str  # "QA" | "Detail"
    question_id: str
    question: str
    image_id: str
    entity: str  # "" if none
    response: str
    confidence: float | None  # in [0, 1]
    correct: float  # the expert's overall verdict, in [0, 1]
    well_formed: bool
    expert: str  # identity of the judge
    claims: list[dict[str, Any]] = field(default_factory=list)  # {"text": str, "sure": bool}
    claim_labels: list[int] = field(default_factory=list)  # 0 | 1, one for each claim
    defects: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("confidence", "correct"):
            value = getattr(self, name)
            if not (value is None and name == "confidence") and not (_is_number(value) and 0 <= value <= 1):
                raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


VERBAL = "verbal"  # name of the protocol in records, file names and reports


def records_path(directory: Path, model: str, protocol: str) -> Path:
    """Where the records of a model and protocol stand."""
    return directory / f"{model}.{protocol}.jsonl"


def settings_path(records: Path) -> Path:
    """Where the settings of a record file stand."""
    return records.with_suffix(".settings.json")


def set_aside(records: Path) -> Path | None:
    """Move a record file, whole or partial, and its settings to `old/<8 hex digits of the settings' hash>/` beside it.

    The names stay, so `python -m eval report --records old/<hex>` still reads them; a report of the directory above
    does not. Records that were set aside with the same settings before are replaced.

    Returns:
        The directory, None if there are no records.
    """
    settings = settings_path(records)
    sources = [path for path in (records, records.with_name(records.name + PARTIAL_SUFFIX)) if path.exists()]
    if not sources:
        return None
    content = settings.read_bytes() if settings.exists() else b""
    target = records.parent / "old" / hashlib.sha256(content).hexdigest()[:8]
    target.mkdir(parents=True, exist_ok=True)
    # The settings go last: whatever a kill leaves here is still known to be outdated.
    for path in [*sources, *([settings] if settings.exists() else [])]:
        os.replace(path, target / path.name)
    return target


_FIELDS = {f.name for f in fields(AnswerRecord)}


def _parse_line(line: str) -> AnswerRecord:
    """Raises ValueError or TypeError for a line that is no record."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    if missing := _FIELDS - data.keys():
        raise ValueError(f"missing {', '.join(sorted(missing))}")
    return AnswerRecord(**{name: data[name] for name in _FIELDS})


def _render(records: Iterable[AnswerRecord]) -> str:
    return "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)


def read_records(path: Path) -> list[AnswerRecord]:
    """All records of a file, in its order.

    Raises:
        UserError: the file is missing, or a line is malformed (named by its number).
    """
    if not path.is_file():
        raise UserError(f"no answer records at {path}: make them with `python -m eval records`")
    records = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                records.append(_parse_line(line))
            except (ValueError, TypeError) as error:
                raise UserError(f"{path} line {number} is not an answer record ({error}): remove or mend it") from error
    return records


def write_records(path: Path, records: Iterable[AnswerRecord]) -> None:
    """Write a whole record file, atomically."""
    write_text(path, _render(records))


class RecordLog:
    """A record file that grows batch by batch and survives a kill.

    >>> log = RecordLog(path)                                              # doctest: +SKIP
    >>> todo = [q for q in questions if q.question_id not in log.done]     # doctest: +SKIP
    >>> log.append(records_of(todo)); log.finish()                         # doctest: +SKIP
    """

    def __init__(self, path: Path, samples: int = 1) -> None:
        """Take up what is there: the partial file of a run that was killed, else the finished file.

        Args:
            samples: records a question; a question with fewer, cut off by a kill, is not done and is dropped.

        Raises:
            UserError: a line other than a torn last one is malformed.
        """
        self.path = path
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        if self._partial.exists():
            drop_torn_line(self._partial)
        source = self._partial if self._partial.exists() else path
        there = read_records(source) if source.exists() else []
        counts = Counter(record.question_id for record in there)
        self.done = {question for question, count in counts.items() if count >= samples}
        if len(self.done) < len(counts):
            write_records(self._partial, [record for record in there if record.question_id in self.done])

    def append(self, records: Iterable[AnswerRecord]) -> None:
        """Add finished answers; they are on disk when this returns."""
        records = list(records)
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        if not self._partial.exists():
            write_text(self._partial, self.path.read_text(encoding="utf-8") if self.path.exists() else "")
        with self._partial.open("a", encoding="utf-8") as file:
            file.write(_render(records))
            file.flush()
            os.fsync(file.fileno())
        self.done |= {record.question_id for record in records}

    def finish(self) -> None:
        """Every answer is there: give the file its name."""
        if self._partial.exists():
            os.replace(self._partial, self.path)
