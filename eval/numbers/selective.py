"""What a user does with a model's confidences, from its records: trust the sure answers,
or choose a threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.metrics.selective import (
    RiskCoverage,
    Threshold,
    choose_threshold,
    risk_coverage,
    selective_aurc,
)
from eval.records import AnswerRecord, question_key


@dataclass(frozen=True)
class Selective:
    """Selective prediction by one model and protocol.

    Attributes:
        curve, aurc: over all answers.
        threshold: for the wanted accuracy; of the first answer to each question.
        n: answers; parse_failures: those among them whose confidence cannot be read.
    """

    model: str
    protocol: str
    curve: RiskCoverage
    aurc: float
    threshold: Threshold
    n: int
    parse_failures: int


def selective(records: Sequence[AnswerRecord], wanted_accuracy: float) -> Selective:
    """Of the records of one model and protocol, at least one.

    Raises:
        ValueError: the wanted accuracy is not in (0, 1).
    """
    confidence = [record.confidence for record in records]
    correct = [record.correct for record in records]
    one = first_answers(records)
    return Selective(
        model=records[0].model,
        protocol=records[0].protocol,
        curve=risk_coverage(confidence, correct),
        aurc=selective_aurc(confidence, correct),
        threshold=choose_threshold(
            [record.confidence for record in one],
            [record.correct for record in one],
            wanted_accuracy,
        ),
        n=len(records),
        parse_failures=confidence.count(None),
    )


def first_answers(records: Sequence[AnswerRecord]) -> list[AnswerRecord]:
    """One answer a question, by question: models that were asked the same
    questions are halved alike.
    """
    first: dict[str, AnswerRecord] = {}
    for record in sorted(records, key=lambda record: (question_key(record), record.sample)):
        first.setdefault(question_key(record), record)
    return list(first.values())
