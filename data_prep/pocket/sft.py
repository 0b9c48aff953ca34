"""SFT data from the base's own answers, sampled several times a question and labelled by the expert.

The text is the most frequent of a question's answers (single samples would teach the base its own slips), its claims
are tagged by their labels, and the confidence is what a calibrated model would state: the chance that an answer of the
base's is right, as its samples let one estimate it. The verdict on one answer is 0 or 1 for QA, and a model trained on
it states nothing in between.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
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
    correct = record["correct"]
    if isinstance(correct, bool) or not isinstance(correct, (int, float)) or not 0 <= correct <= 1:
        raise ValueError(f"correct must be a number in [0, 1], not {correct!r}")
    return record


def most_frequent(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first of the records whose claims, normalised, occur most often; the earliest of equally frequent ones."""
    said = [tuple(claims.normalise(claim["text"]) for claim in answer["claims"]) for answer in answers]
    return answers[said.index(Counter(said).most_common(1)[0][0])]


def chance_of_right(verdicts: Sequence[float]) -> float:
    """Laplace's rule of succession, (sum + 1) / (n + 2): the mean of the Beta posterior under a flat prior, in (0, 1).

    A handful of samples never shows that a model is always right, or never: 5 of 5 give 0.86, 0 of 5 give 0.14.
    """
    return (sum(verdicts) + 1) / (len(verdicts) + 2)


def retag(record: dict[str, Any], confidence: float) -> str:
    """The record's claims, each tagged by its label, with `confidence` to one decimal.

    Example: claims A (label 1), B (0) and confidence 0.64 become A sure, B not sure, "Confidence: 0.6".

    Raises:
        ValueError: a text that the claim format cannot hold.
    """
    pairs = zip(record["claims"], record["claim_labels"], strict=True)
    tagged = [claims.Claim(said["text"], bool(label)) for said, label in pairs]
    return claims.render_response(tagged, round(confidence, 1))


def build(
    questions: Iterable[dict[str, Any]], records: Iterable[dict[str, Any]]
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """SFT rows, one for each question with usable answers, and the counts of the unusable questions by reason."""
    by_id = {row["extra_info"]["question_id"]: row for row in questions}
    answers: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        answers.setdefault(record["question_id"], []).append(record)
    out, unusable = [], Counter[str]()
    for question_id, samples in answers.items():
        question = by_id.get(question_id)
        if question is None:
            unusable["unknown question_id"] += 1
            continue
        readable = [record for record in samples if record["claims"]]
        if not readable:
            unusable["no claims"] += 1
            continue
        confidence = chance_of_right([record["correct"] for record in samples])
        try:
            answer = retag(most_frequent(readable), confidence)
        except ValueError:
            unusable["claims that cannot be written in the claim format"] += 1
            continue
        out.append(
            {
                "messages": [*question["prompt"], {"role": "assistant", "content": answer}],
                "images": question["images"],
                "data_source": question["data_source"],
                "question_id": question_id,
            }
        )
    return out, unusable


def write(questions: Path, records: Path, out: Path) -> tuple[int, Counter[str]]:
    """Build the SFT parquet; returns the number of rows and the unusable questions by reason.

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
