"""Answers sorted by confidence, and their weights in resamples: what every metric is computed from.

A resample of n answers is a vector of counts, one a distinct answer. So each metric is written
once, for a matrix of counts of shape (rows, m): one row of ones gives the estimate itself, and a
thousand rows of a bootstrap are one pass over arrays that were sorted once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_fns.calibration import checked_answers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """Answers in ascending order of confidence.

    Attributes:
        confidence: (m,), in the dtype that it was given in, which decides the bins (see
            `reward_fns.calibration`).
        correct: (m,), verdicts in [0, 1].
        order: (m,), position of each answer before sorting; None if they were sorted already.
        first: (u,), index of the first answer of each distinct confidence; u = m without ties.
    """

    confidence: NDArray[np.floating]
    correct: Floats
    order: NDArray[np.intp] | None
    first: NDArray[np.intp]

    def weights(self, counts: Floats) -> Floats:
        """Counts (rows, m), given in the order before sorting, in the order of this object."""
        return counts if self.order is None else counts[:, self.order]

    def by_confidence(self, weighted: Floats) -> Floats:
        """Sums over answers of equal confidence: (rows, m) -> (rows, u)."""
        return (
            weighted
            if self.first.size == weighted.shape[1]
            else np.add.reduceat(weighted, self.first, axis=1)
        )


Rows = Callable[[Ranked, Floats], Floats]
"""A metric on resamples: answers and weights (rows, m) in their order -> values
(rows,), NaN where undefined.
"""


def rank(confidence: ArrayLike, correct: ArrayLike) -> Ranked:
    """Sort answers by confidence.

    Args:
        confidence: (m,), in [0, 1].
        correct: (m,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    c, y = checked_answers(confidence, correct)
    is_sorted = bool(np.all(c[1:] >= c[:-1]))
    order = None if is_sorted else np.argsort(c, kind="stable")
    if order is not None:
        c, y = c[order], y[order]
    first = (
        np.flatnonzero(np.concatenate([[True], c[1:] != c[:-1]]))
        if c.size
        else np.zeros(0, np.intp)
    )
    return Ranked(c, y, order, first)


def estimate(rows: Rows, confidence: ArrayLike, correct: ArrayLike) -> float:
    """A metric's value on the answers themselves; NaN for n = 0."""
    answers = rank(confidence, correct)
    return (
        float(rows(answers, np.ones((1, answers.correct.size)))[0])
        if answers.correct.size
        else float("nan")
    )


def divide(numerator: Floats, denominator: Floats | float) -> Floats:
    """Quotient, NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)
