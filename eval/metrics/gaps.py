"""The gaps of a model's bins, how much each question moves them, and the law of
what is computed of them.

Symbols and sources: `metrics.debiased`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.laws import Law, RareBins
from eval.metrics.ranked import Floats
from eval.metrics.resampling import stratum_numbers
from reward_fns.calibration import bin_index

_ROUNDING = 1e-12  # of values in [0, 1]: less is not there
_RARE = 5  # verdicts of a kind: below, a normal law with the variance seen is not to be trusted


@dataclass(frozen=True)
class Grouping:
    """The questions of some answers: (n,) number of each answer's question, (k,) number of
    each question's dataset.
    """

    question: NDArray[np.intp]
    stratum: NDArray[np.intp]

    @property
    def size(self) -> int:
        """Number of questions."""
        return self.stratum.size


def grouping(
    n: int, strata: ArrayLike | None = None, clusters: ArrayLike | None = None
) -> Grouping:
    """Numbers of questions and datasets from their labels, each (n,); None: each
    answer its own, one dataset.

    Raises:
        ValueError: strata are not one an answer; the answers to a question lie in two strata.
    """
    label = stratum_numbers(n, strata)
    if clusters is None:
        return Grouping(np.arange(n), label)
    _, first, question = np.unique(np.asarray(clusters), return_index=True, return_inverse=True)
    if (label != label[first][question]).any():
        raise ValueError("the answers to a question lie in two strata")
    return Grouping(question, label[first])


@dataclass(frozen=True)
class Gaps:
    """One model's gaps: what the estimate and its law are made of; B bins, k questions.

    Attributes:
        weight: (B,), n_b / N; 0 for a bin that holds fewer than two questions.
        gap: (B,).
        error: (k, B), by how much each question moves each gap, in total 0; scaled
            to an unbiased variance.
        unseen: (B,), variance of each gap that verdicts of a rare kind hide from
            `error`; for laws alone.
        influence: (n,), of each answer on `calibration`, with mean about its value.
        rare: the bins with `unseen`.
    """

    weight: Floats
    gap: Floats
    error: Floats
    unseen: Floats
    influence: Floats
    rare: RareBins

    @property
    def calibration(self) -> float:
        return float(self.weight @ (self.gap**2 - (self.error**2).sum(axis=0)))


def gaps_of(c: NDArray[np.floating], y: Floats, groups: Grouping, n_bins: int) -> Gaps | None:
    """None where no bin holds two questions."""
    index = bin_index(c, n_bins)
    residual = y - c.astype(np.float64)
    cell = groups.question * n_bins + index
    asked = np.bincount(cell, minlength=groups.size * n_bins).reshape(groups.size, n_bins) > 0
    questions = asked.sum(axis=0)
    usable = questions > 1
    count = np.where(usable, np.bincount(index, minlength=n_bins), 0)
    if not count.any():
        return None
    per_bin = np.maximum(count, 1)
    gap = np.where(usable, np.bincount(index, residual, minlength=n_bins) / per_bin, 0.0)
    rest = np.where(usable[index], residual - gap[index], 0.0)
    error = np.bincount(cell, rest, minlength=groups.size * n_bins).reshape(groups.size, n_bins)
    unbiased = np.sqrt(questions / np.maximum(questions - 1, 1))
    influence = (2 * gap[index] * rest + gap[index] ** 2) * (c.size / count.sum())
    error = error / per_bin * unbiased
    weight = count / count.sum()
    seen = (error**2).sum(axis=0)
    rare = _rare_bins(c.astype(np.float64), y, cell, weight, seen)
    unseen = np.where(rare.weight > 0, rare.variance - seen, 0.0)
    return Gaps(weight, gap, error, unseen, influence, rare)


def _rare_bins(
    c: Floats, y: Floats, cell: NDArray[np.intp], weight: Floats, seen: Floats
) -> RareBins:
    """Bins of verdicts 0 or 1, fewer than `_RARE` questions with one kind: noise is at
    least what confidences say.

    Without it a bin whose answers are all right has no noise at all: 30 right of 30 at 0.99 were a
    proof against 0.99. Graded verdicts vary less than c (1 - c): they are left as seen. A
    question's answers count as one, as if all were the same.
    """
    n_bins = weight.size
    index = cell % n_bins

    def asked(which: NDArray[np.bool_]) -> Floats:
        """Questions of each bin with such an answer, (B,)."""
        return np.bincount(np.unique(cell[which]) % n_bins, minlength=n_bins).astype(np.float64)

    graded = asked((y > 0) & (y < 1)) > 0
    rare = (weight > 0) & ~graded & (np.minimum(asked(y == 1), asked(y == 0)) < _RARE)
    answers = np.maximum(np.bincount(index, minlength=n_bins), 1)
    questions = asked(np.ones(y.size, dtype=np.bool_))
    confidence = np.bincount(index, c, minlength=n_bins) / answers
    spread = np.bincount(index, c * (1 - c), minlength=n_bins) / answers
    stated = spread / np.maximum(questions, 1)
    return RareBins(np.where(rare, weight, 0.0), confidence, questions, np.maximum(stated, seen))


def law_of(
    value: float,
    influence: Floats,
    weight: Floats,
    error: Floats,
    unseen: Floats,
    groups: Grouping,
) -> Law:
    """Law of an estimate with influences (n,), quadratic in gaps with `weight`, `unseen`
    (B,) and errors (k, B).
    """
    moves = weight[:, None] * (error.T @ error)
    first = _clustered_variance(influence, groups)
    # The mean of `first` is the linear part's variance and this, from the noise of the gaps in it.
    noise_in_first = 4 * float(np.trace(moves @ moves))
    law = Law(
        value,
        max(first - noise_in_first, 0.0),
        _chi_squares(weight, error.T @ error + np.diag(unseen)),
    )
    return law if law.variance >= _ROUNDING**2 else Law(value, 0.0)


def _chi_squares(weight: Floats, covariance: Floats) -> tuple[float, ...]:
    """Weights of the chi-squares of sum_b weight_b e_b^2: the eigenvalues of weight
    times covariance (B, B).
    """
    values, vectors = np.linalg.eigh(covariance)
    half = vectors * np.sqrt(np.maximum(values, 0.0))
    found = np.linalg.eigvalsh(half.T @ (weight[:, None] * half))
    largest = np.abs(found).max(initial=0.0)
    return tuple(float(one) for one in found if abs(one) > 1e-6 * largest)


def _clustered_variance(influence: Floats, groups: Grouping) -> float:
    """Variance of the mean of influences (n,): questions are drawn whole, within their dataset."""
    total = np.bincount(groups.question, influence, minlength=groups.size)
    size = np.bincount(groups.stratum)
    mean = np.bincount(groups.stratum, total) / np.maximum(size, 1)
    rest = np.bincount(groups.stratum, (total - mean[groups.stratum]) ** 2)
    return float((rest * size / np.maximum(size - 1, 1)).sum()) / influence.size**2
