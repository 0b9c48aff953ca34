"""SFT data from the base's own answers: the same claims, with tags and confidence by the expert's labels."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_prep.pocket.data import write_parquet
from reward_fns import claims

_NEEDED = ("question_id", "claims", "claim_labels", "correct")


def read_records(path: Path) -> list[dict[str, Any]]:
    """The answer records of a JSONL file.

    Raises:
        FileNotFoundError: no such file; the message names the command that makes it.
        ValueError: a malformed line, named by its number.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no records at {path}; make them with: python -m eval records")
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                records.append(_checked(json.loads(line)))
            except ValueError as error:
                raise ValueError(f"{path} line {number}: {error}") from error
    return records


def _checked(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    missing = [key for key in _NEEDED if key not in record]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    said, labels = record["claims"], record["claim_labels"]
    if not isinstance(said, list) or not all(isinstance(c, dict) and isinstance(c.get("text"), str) for c in said):
        raise ValueError("claims must be a list of objects with a text")
    if not isinstance(labels, list) or any(label not in (0, 1) for label in labels) or len(labels) != len(said):
        raise ValueError(f"claim_labels must hold one 0 or 1 for each of the {len(said)} claims")
    return record


def retag(record: dict[str, Any]) -> str:
    """The record's claims, each tagged by its label, with the share of true ones as the confidence, to one decimal.

    Example: claims A (label 1), B (0), C (1) become A sure, B not sure, C sure, "Confidence: 0.7".

    Raises:
        ValueError: no claims, or a text that the claim format cannot hold.
    """
    labels = [bool(label) for label in record["claim_labels"]]
    if not labels:
        raise ValueError("no claims")
    tagged = [claims.Claim(said["text"], label) for said, label in zip(record["claims"], labels, strict=True)]
    return claims.render_response(tagged, round(sum(labels) / len(labels), 1))


def build(
    questions: Iterable[dict[str, Any]], records: Iterable[dict[str, Any]]
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """SFT rows, one for each usable record, and the counts of the unusable ones by reason."""
    by_id = {row["extra_info"]["question_id"]: row for row in questions}
    out, unusable = [], Counter[str]()
    for record in records:
        question = by_id.get(record["question_id"])
        if question is None:
            unusable["unknown question_id"] += 1
            continue
        if not record["claims"]:
            unusable["no claims"] += 1
            continue
        try:
            answer = retag(record)
        except ValueError:
            unusable["claims that cannot be written in the claim format"] += 1
            continue
        out.append(
            {
                "messages": [*question["prompt"], {"role": "assistant", "content": answer}],
                "images": question["images"],
                "data_source": question["data_source"],
                "question_id": record["question_id"],
            }
        )
    return out, unusable


def write(questions: Path, records: Path, out: Path) -> tuple[int, Counter[str]]:
    """Build the SFT parquet; returns the number of rows and the unusable records by reason.

    Raises:
        FileNotFoundError, ValueError: as `read_records`; no questions file; or not one usable record.
    """
    if not questions.is_file():
        raise FileNotFoundError(f"no questions at {questions}; make them with: python -m data_prep.pocket data")
    rows, unusable = build(pq.read_table(questions).to_pylist(), read_records(records))
    if not rows:
        raise ValueError(f"{records} holds no usable record: {dict(unusable)}")
    write_parquet(out, rows)
    return len(rows), unusable
