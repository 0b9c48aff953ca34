"""Calibrated confidences as records of their own: `MODEL.PROTOCOL+METHOD.jsonl`."""

from pathlib import Path
from typing import Any

from eval.posthoc.fit import by_folds
from eval.records import (
    Confidence,
    answers_path,
    check_not_stale,
    file_sha256,
    read_records,
    records_path,
    write_records,
)
from eval.settings import keep_settings
from reward_fns.errors import UserError
from reward_fns.posthoc import Calibrator


def write_calibrated(
    directory: Path,
    model: str,
    protocol: str,
    how: Calibrator | tuple[str, int],
    seed: int = 0,
) -> Path:
    """Write the records.

    Args:
        how: a calibrator; or a method and the number of folds by question.
        seed: draws the folds.

    Returns:
        The new file.

    Raises:
        UserError: no such records, or stale ones; a calibrator of another protocol, or one that was fitted on one of
            these questions.
    """
    source = records_path(directory, model, protocol)
    records = read_records(source)
    check_not_stale(source)
    settings: dict[str, Any] = {"from_sha256": file_sha256(source)}
    if isinstance(how, Calibrator):
        if (made_for := how.fit.get("protocol", protocol)) != protocol:
            raise UserError(
                f"the calibrator was fitted on {made_for}, not on {protocol}: fit one for it"
            )
        seen = {record.question_id for record in records} & set(how.fit.get("questions", ()))
        if seen:
            raise UserError(
                f"the calibrator was fitted on {len(seen)} of these questions ({sorted(seen)[0]}, ...): a map must "
                "not meet what it is measured on; keep questions apart, or use --folds"
            )
        method = how.method
        settings |= {"method": method, "parameters": dict(how.parameters)}
        found = [None if r.confidence is None else how.apply(r.confidence) for r in records]
    else:
        method, folds = how
        settings |= {"method": method, "folds": folds, "seed": seed}
        found = by_folds(method, records, folds, seed)
    target = records_path(directory, model, f"{protocol}+{method}")
    if answers_path(directory, model).is_file():
        settings["answers_sha256"] = file_sha256(answers_path(directory, model))
    keep_settings(target, settings)
    confidences = [
        Confidence(question_id=record.question_id, sample=record.sample, confidence=value)
        for record, value in zip(records, found, strict=True)
    ]
    write_records(target, confidences)
    return target
