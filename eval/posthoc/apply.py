"""Calibrated confidences as records of their own: `MODEL.PROTOCOL+METHOD.jsonl`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.posthoc.fit import by_folds
from eval.records import (
    AnswerRecord,
    Confidence,
    answers_path,
    check_not_stale,
    file_sha256,
    read_records,
    records_path,
    write_records,
)
from eval.records.settings import keep_settings
from reward_fns.errors import UserError
from reward_fns.posthoc import Calibrator


def by_calibrator(directory: Path, model: str, protocol: str, calibrator: Calibrator) -> Path:
    """Write the records that a calibrator makes of a protocol's; returns the new file.

    Raises:
        UserError: no such records, or stale ones; a calibrator of another protocol, or one that
            was fitted on one of these questions.
    """
    made_for = calibrator.fit.get("protocol", protocol)
    if made_for != protocol:
        raise UserError(
            f"the calibrator was fitted on {made_for}, not on {protocol}: fit one for it"
        )
    records = _read(directory, model, protocol)
    seen = {record.question_id for record in records} & set(calibrator.fit.get("questions", ()))
    if seen:
        raise UserError(
            f"the calibrator was fitted on {len(seen)} of these questions ({min(seen)}, ...): a "
            "map must not meet what it is measured on; keep questions apart, or use --folds"
        )
    found = [None if r.confidence is None else calibrator.apply(r.confidence) for r in records]
    how = {"method": calibrator.method, "parameters": dict(calibrator.parameters)}
    return _write(directory, model, protocol, how, records, found)


def cross_fitted(
    directory: Path, model: str, protocol: str, method: str, folds: int, seed: int = 0
) -> Path:
    """Write a protocol's records, each calibrated by a map fitted without its
    question; returns the new file.

    Args:
        method: a name of `fit.FITS`.
        folds, seed: see `fit.by_folds`.

    Raises:
        UserError: no such records, stale ones, or too few.
    """
    records = _read(directory, model, protocol)
    found = by_folds(method, records, folds, seed)
    how = {"method": method, "folds": folds, "seed": seed}
    return _write(directory, model, protocol, how, records, found)


def _read(directory: Path, model: str, protocol: str) -> list[AnswerRecord]:
    source = records_path(directory, model, protocol)
    check_not_stale(source)
    return read_records(source)


def _write(
    directory: Path,
    model: str,
    protocol: str,
    how: Mapping[str, Any],
    records: Sequence[AnswerRecord],
    found: Sequence[float | None],
) -> Path:
    settings = {**how, "from_sha256": file_sha256(records_path(directory, model, protocol))}
    if answers_path(directory, model).is_file():
        settings["answers_sha256"] = file_sha256(answers_path(directory, model))
    target = records_path(directory, model, f"{protocol}+{how['method']}")
    keep_settings(target, settings)
    confidences = [
        Confidence(question_id=record.question_id, sample=record.sample, confidence=value)
        for record, value in zip(records, found, strict=True)
    ]
    write_records(target, confidences)
    return target
