"""Record files: where they stand, how they are read, checked, joined and written."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from eval.records.record import Answer, AnswerRecord, Confidence
from reward_fns.errors import UserError
from reward_fns.files import PARTIAL_SUFFIX, read_jsonl, read_mapping, write_text

ANSWERS = "answers"
"""Stands in a file's name where the protocol's name stands for confidences."""


def answers_path(directory: Path, model: str) -> Path:
    """Where the answers of a model stand."""
    return directory / f"{model}.{ANSWERS}.jsonl"


def records_path(directory: Path, model: str, protocol: str) -> Path:
    """Where the confidences of a model's answers by one protocol stand."""
    return directory / f"{model}.{protocol}.jsonl"


def settings_path(records: Path) -> Path:
    """Where the settings of a record file stand."""
    return records.with_suffix(".settings.json")


_Record = TypeVar("_Record", Answer, Confidence, AnswerRecord)


def _names(kind: type[Any]) -> tuple[set[str], set[str]]:
    """All fields of a record, and those that a line must hold."""
    required = {f.name for f in fields(kind) if f.default is f.default_factory}  # both are MISSING
    return {f.name for f in fields(kind)}, required


_NAMES = {kind: _names(kind) for kind in (Answer, Confidence, AnswerRecord)}


def _parse(kind: type[_Record], data: Mapping[str, Any], where: str) -> _Record:
    every, required = _NAMES[kind]
    try:
        if missing := required - data.keys():
            raise ValueError(f"missing {', '.join(sorted(missing))}")
        return kind(**{name: value for name, value in data.items() if name in every})
    except (ValueError, TypeError) as error:
        raise UserError(f"{where} is not an answer record ({error}): remove or mend it") from error


_UNREPORTED: dict[str, Any] = {"texts": [], "detail": {}, "probabilities": {}, "defects": []}
"""What takes room and no report shows, and the one empty value that takes its
place in every record.
"""
_COUNTED = ("token", "merged")
"""Of a record's detail: DP's token, and whether SC's rule merged answers,
which the report counts.
"""
_SHARED = (
    *("model", "dataset", "task", "question_id", "question", "image_id", "entity", "subset"),
    *("expert", "expert_version"),
)
"""Texts that many records have in common: kept once."""


def _lean(data: dict[str, Any]) -> dict[str, Any]:
    """A line without what no report shows, its common texts kept once."""
    detail = data.get("detail") or {}
    data = data | {name: _UNREPORTED[name] for name in _UNREPORTED.keys() & data.keys()}
    if counted := {name: detail[name] for name in _COUNTED if name in detail}:
        data["detail"] = counted
    if data.get("claims"):  # an example shows the claims, or else the text
        data["response"] = ""
    for name in _SHARED:
        if type(data.get(name)) is str:
            data[name] = sys.intern(data[name])
    return data


def read_answers(path: Path, lean: bool = False) -> list[Answer]:
    """All answers of a file `MODEL.answers.jsonl`, in its order.

    Args:
        lean: see `read_records`.

    Raises:
        UserError: the file is missing or empty, a line is malformed (named by its number),
            or an answer stands twice.
    """
    _require(path)
    answers = [
        _parse(Answer, _lean(data) if lean else data, f"{path} line {n}")
        for n, data in enumerate(read_jsonl(path), start=1)
    ]
    _require_some(answers, path)
    _unique((answer.key for answer in answers), path)
    return answers


def read_records(
    path: Path, answers: Mapping[str, Answer] | None = None, lean: bool = False
) -> list[AnswerRecord]:
    """All records of a file `MODEL.PROTOCOL.jsonl`, in its order, joined
    with the answers beside it.

    Args:
        path: the protocol's file; its name is taken apart at the dots.
        answers: key -> answer, where they were read already; else they are read from beside `path`.
        lean: leave out what no report shows (`_UNREPORTED`), which is most of a large file.

    Raises:
        UserError: a file is missing or empty, a line is malformed (named by its number), an answer
            is missing or stands twice.
    """
    _require(path)
    model, protocol = path.name.split(".")[:2]
    records = []
    for number, data in enumerate(read_jsonl(path), start=1):
        where = f"{path} line {number}"
        data = _lean(data) if lean else data
        if _NAMES[AnswerRecord][1] <= data.keys():
            records.append(_parse(AnswerRecord, data, where))
            continue
        confidence = _parse(Confidence, data, where)
        if answers is None:
            answers = {
                answer.key: answer
                for answer in read_answers(answers_path(path.parent, model), lean)
            }
        if confidence.key not in answers:
            raise UserError(
                f"{where}: {answers_path(path.parent, model)} holds no answer to question "
                f"{confidence.question_id} (sample {confidence.sample}): make both with `python "
                "-m eval calibration`"
            )
        records.append(join(answers[confidence.key], sys.intern(protocol), confidence))
    _require_some(records, path)
    _unique((record.key for record in records), path)
    return records


def join(answer: Answer, protocol: str, confidence: Confidence) -> AnswerRecord:
    """One record of an answer and its confidence; lists and dicts are shared, not copied."""
    shared = {name: getattr(answer, name) for name in _NAMES[Answer][0]}
    return AnswerRecord(
        **shared,
        protocol=protocol,
        confidence=confidence.confidence,
        texts=confidence.texts,
        detail=confidence.detail,
    )


def load_records(directory: Path, lean: bool = False) -> list[AnswerRecord]:
    """Records of all models and protocols of a directory; the answers of each model are read once.

    Args:
        lean: see `read_records`.

    Raises:
        UserError: no record file, an unfinished one, or what `read_records` refuses.
    """
    if unfinished := sorted(directory.glob(f"*{PARTIAL_SUFFIX}")):
        raise UserError(
            f"{unfinished[0]} is not whole: run the same `python -m eval calibration` "
            "again, it goes on there"
        )
    files = [
        path
        for path in sorted(directory.glob("*.jsonl"))
        if not path.name.endswith(f".{ANSWERS}.jsonl")
    ]
    if not files:
        raise UserError(
            f"no record files (*.jsonl) in {directory}: make them with `python -m eval calibration`"
        )
    answers: dict[str, dict[str, Answer]] = {}
    records: list[AnswerRecord] = []
    for path in files:
        check_not_stale(path)
        model = path.name.split(".")[0]
        if model not in answers and (file := answers_path(directory, model)).is_file():
            answers[model] = {answer.key: answer for answer in read_answers(file, lean)}
        records += read_records(path, answers.get(model), lean)
    return records


def check_not_stale(path: Path) -> None:
    """Refuse confidences that were found for other answers than those that stand beside them now.

    Files without settings, which were made elsewhere, are taken as they are.

    Raises:
        UserError: the answers were made again since; names both files and
            the command that mends it.
    """
    settings = settings_path(path)
    model, protocol = path.name.split(".")[:2]
    beside = answers_path(path.parent, model)
    if not settings.is_file() or not beside.is_file():
        return
    made_for = read_mapping(settings).get("answers_sha256")
    if made_for is not None and made_for != file_sha256(beside):
        raise UserError(
            f"{path} holds confidences for other answers than {beside}, which was made again "
            f"since: run `python -m eval calibration` with --protocols {protocol} (and what else "
            "you report), or remove the file"
        )


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"no records at {path}: make them with `python -m eval calibration`")


def _require_some(records: Sequence[Answer], path: Path) -> None:
    if not records:
        raise UserError(
            f"{path} is empty: make it anew with `python -m eval calibration`, or remove it"
        )


def _unique(keys: Iterable[str], path: Path) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise UserError(
                f"{path}: the answer {key} (question#sample) stands twice; remove one line"
            )
        seen.add(key)


def write_records(path: Path, records: Iterable[Answer | Confidence]) -> None:
    """Write a whole record file, atomically."""
    write_text(
        path, "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
    )
