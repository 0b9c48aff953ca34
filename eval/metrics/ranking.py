"""How well confidence orders answers: AUROC, AUPRC, AURC, PRR. Only the order of
the confidences matters.

An answer is a positive of weight y and a negative of weight 1 - y, so a graded
verdict stands on both sides.

    AUROC = P(c+ > c-) + P(c+ = c-) / 2
    AUPRC = sum_k (recall_k - recall_(k-1)) * precision_k
            over distinct confidences, descending (average precision)
    AURC  = (1/n) sum_(i=1..n) risk_i
            risk_i: mean of 1 - y over the i most confident; Geifman et al. 2019
    PRR   = (r - AURC) / (r - AURC*)
            r: mean of 1 - y, the AURC of a random order; AURC*: of the best order

Answers of equal confidence stand in random order: AURC is the expectation over these orders, which
for a run of w answers with mean error e after N answers with summed error E is

    sum_(j=1..w) (E + j e) / (N + j) = w e + (E - e N) (H(N + w) - H(N)),
    H(k) = 1 + 1/2 + ... + 1/k.

PRR is 1 for the best order, 0 for a random one, negative for a worse one; this is the form on the
selective risk. With Malinin's form (errors left over, as a share of all answers) binary verdicts
give 2 AUROC - 1, which says nothing new.

Undefined, so NaN: AUROC with one class, AUPRC without positives, PRR where every
order is as good as another.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.ranked import Floats, Ranked, divide, estimate, rank


def auroc_rows(answers: Ranked, weights: Floats) -> Floats:
    """AUROC of each resample."""
    positive = answers.by_confidence(weights * answers.correct)
    negative = answers.by_confidence(weights) - positive
    below = negative.cumsum(axis=1)
    wins = np.einsum("ij,ij->i", positive, below) - np.einsum("ij,ij->i", positive, negative) / 2
    return divide(wins, positive.sum(axis=1) * below[:, -1])


THRESHOLD = 0.5
"""A graded verdict of at least this counts as right in `auroc_thresholded`."""


def auroc_thresholded_rows(answers: Ranked, weights: Floats) -> Floats:
    """AUROC of each resample, of verdicts cut at `THRESHOLD`."""
    whole = (answers.correct >= THRESHOLD).astype(np.float64)
    return auroc_rows(replace(answers, correct=whole), weights)


def auprc_rows(answers: Ranked, weights: Floats) -> Floats:
    """AUPRC of each resample."""
    positive = answers.by_confidence(weights * answers.correct)[:, ::-1]
    taken = answers.by_confidence(weights)[:, ::-1].cumsum(axis=1)
    precision = np.nan_to_num(divide(positive.cumsum(axis=1), taken))
    return divide(np.einsum("ij,ij->i", positive, precision), positive.sum(axis=1))


def aurc_rows(answers: Ranked, weights: Floats) -> Floats:
    """AURC of each resample; weights must be whole numbers."""
    count = answers.by_confidence(weights)[:, ::-1]
    error = answers.by_confidence(weights * (1 - answers.correct))[:, ::-1]
    after = count.cumsum(axis=1)
    before, error_before = after - count, error.cumsum(axis=1) - error
    n = int(after[:, -1].max())
    harmonic = np.concatenate([[0.0], (1 / np.arange(1, n + 1)).cumsum()])
    steps = harmonic[np.rint(after).astype(np.intp)] - harmonic[np.rint(before).astype(np.intp)]
    mean_error = np.nan_to_num(divide(error, count))
    return divide((error + (error_before - mean_error * before) * steps).sum(axis=1), after[:, -1])


def prr_rows(answers: Ranked, weights: Floats) -> Floats:
    """PRR of each resample."""
    best = rank(answers.correct, answers.correct)  # verdicts as confidences: the best order
    random = divide(weights @ (1 - answers.correct), weights.sum(axis=1))
    gain = random - aurc_rows(best, best.weights(weights))
    possible = np.where(
        gain > 1e-12, gain, 0.0
    )  # all verdicts equal: rounding apart, nothing to gain
    return divide(random - aurc_rows(answers, weights), possible)


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the ROC curve of confidence as a score for correctness; in
    [0, 1], ties count one half.

    An item is a positive of weight `correct` and a negative of weight `1 - correct`. NaN when
    one class has no weight.

    >>> auroc([0.9, 0.6, 0.4], [1, 0, 1])  # one of the two (right, wrong) pairs is in order
    0.5

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(auroc_rows, confidence, correct)


def auroc_thresholded(confidence: ArrayLike, correct: ArrayLike) -> float:
    """AUROC of verdicts cut at 0.5; in [0, 1], NaN where all lie on one side; that of
    `auroc` for binary verdicts.

    A perfect order of graded verdicts reaches 1 here. It cannot under `auroc`, where an answer of
    verdict 0.6 is also 0.4 of a wrong one at the same confidence.

    >>> auroc([0.4, 0.6], [0.4, 0.6]), auroc_thresholded([0.4, 0.6], [0.4, 0.6])
    (0.6, 1.0)

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(auroc_thresholded_rows, confidence, correct)


def auprc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Average precision of confidence as a score for correctness; in [0, 1]. That of a
    random order is the accuracy.

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(auprc_rows, confidence, correct)


def aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve; in [0, 1], lower is better, NaN for n = 0.

    >>> aurc([0.9, 0.5], [1, 0])  # risks 0 and 1/2
    0.25

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(aurc_rows, confidence, correct)


def prediction_rejection_ratio(confidence: ArrayLike, correct: ArrayLike) -> float:
    """PRR, at most 1; NaN where all verdicts are equal or n = 0.

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(prr_rows, confidence, correct)
