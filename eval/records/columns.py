"""Answer records of one model and protocol as columns: what the statistics need of them, in
a few bytes an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.records.record import AnswerRecord, question_key


@dataclass(frozen=True)
class Columns:
    """Every array has shape (n,), one entry an answer.

    Attributes:
        key: names the answer (question and sample) among those of its model.
        question: names the question with its dataset: all answers to it are resampled together.
        confidence: in [0, 1], NaN where it could not be read.
        correct: verdicts in [0, 1].
        well_formed: 0 or 1; n_claims: claims of the answer.
        truncated: 1 where the answer was cut off, 0 where not, NaN where it is not known.
    """

    model: str
    protocol: str
    key: NDArray[Any]
    dataset: NDArray[Any]
    question: NDArray[Any]
    confidence: NDArray[np.float64]
    correct: NDArray[np.float64]
    well_formed: NDArray[np.float64]
    n_claims: NDArray[np.float64]
    truncated: NDArray[np.float64]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Where the confidence could be read."""
        return ~np.isnan(self.confidence)

    def take(self, rows: NDArray[Any]) -> "Columns":
        """Some of the answers, by index or by a mask."""
        taken = {name: getattr(self, name)[rows] for name in _PER_ANSWER}
        return replace(self, **taken)


_PER_ANSWER = (
    *("key", "dataset", "question", "confidence", "correct"),
    *("well_formed", "n_claims", "truncated"),
)


def columns(records: Sequence[AnswerRecord]) -> Columns:
    """Columns of the records of one model and protocol, at least one."""
    return Columns(
        records[0].model,
        records[0].protocol,
        np.array([record.key for record in records]),
        np.array([record.dataset for record in records]),
        np.array([question_key(record) for record in records]),
        np.array(
            [np.nan if record.confidence is None else record.confidence for record in records],
            dtype=np.float64,
        ),
        np.array([record.correct for record in records], dtype=np.float64),
        np.array([record.well_formed for record in records], dtype=np.float64),
        np.array([len(record.claims) for record in records], dtype=np.float64),
        np.array(
            [np.nan if record.truncated is None else record.truncated for record in records],
            dtype=np.float64,
        ),
    )


def in_common(a: Columns, b: Columns) -> tuple[Columns, Columns]:
    """The answers that both have, by key, in the order of a."""
    if np.array_equal(a.key, b.key):
        return a, b
    order = np.argsort(b.key, kind="stable")
    at = np.searchsorted(b.key, a.key, sorter=order).clip(max=b.key.size - 1)
    found = b.key[order[at]] == a.key
    return a.take(found), b.take(order[at[found]])


def numbered(answers: Columns) -> Columns:
    """The same with numbers for keys, datasets and questions: smaller, quick to sort. Such
    keys pair with nothing.
    """
    dataset, question = (
        np.unique(names, return_inverse=True)[1].astype(np.int32)
        for names in (answers.dataset, answers.question)
    )
    key = np.arange(answers.key.size, dtype=np.int32)
    return replace(answers, key=key, dataset=dataset, question=question)
