"""Means over answers: Brier score, negative log-likelihood, accuracy.

    Brier    = mean((c - y)^2)                                                   Brier 1950
    NLL      = -mean(y ln c' + (1 - y) ln(1 - c')),   c' = min(max(c, eps), 1 - eps)
    accuracy = mean(y)

The NLL of a confidence of 0 or 1 that is wrong is infinite, and models state both. It is clipped
at eps = 0.001, a tenth of the last digit that the prompts ask for, so that one such answer costs
6.9 nats. (scikit-learn's log_loss clips at the machine's epsilon: 36 nats, and a few such
answers decide the mean.)
"""

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.ranked import Floats, Ranked, divide, estimate

NLL_CLIP = 1e-3


def _mean_rows(values: Floats, weights: Floats) -> Floats:
    return divide(weights @ values, weights.sum(axis=1))


def brier_rows(answers: Ranked, weights: Floats) -> Floats:
    """Brier score of each resample."""
    return _mean_rows((answers.confidence.astype(np.float64) - answers.correct) ** 2, weights)


def nll_rows(answers: Ranked, weights: Floats, clip: float = NLL_CLIP) -> Floats:
    """NLL of each resample."""
    c, y = np.clip(answers.confidence.astype(np.float64), clip, 1 - clip), answers.correct
    return _mean_rows(-(y * np.log(c) + (1 - y) * np.log1p(-c)), weights)


def accuracy_rows(answers: Ranked, weights: Floats) -> Floats:
    """Accuracy of each resample."""
    return _mean_rows(answers.correct, weights)


def brier_score(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared difference of confidence and verdict; in [0, 1], NaN for n = 0.

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(brier_rows, confidence, correct)


def negative_log_likelihood(
    confidence: ArrayLike, correct: ArrayLike, clip: float = NLL_CLIP
) -> float:
    """Mean negative log-likelihood of the verdicts in nats; NaN for n = 0.

    Args:
        clip: confidences are held within [clip, 1 - clip].

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(lambda a, w: nll_rows(a, w, clip), confidence, correct)


def accuracy(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean verdict, whatever the confidence; in [0, 1], NaN for n = 0."""
    return estimate(accuracy_rows, confidence, correct)
