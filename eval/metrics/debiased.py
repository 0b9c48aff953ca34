"""Calibration error without the bias of few answers, its parts of the Brier score, and the floor of the plain ECE.

The plain ECE sums |gap| over bins, to which noise adds: a perfectly calibrated model shows an ECE above 0, the
`ece_floor`, the larger the further its confidences are spread. So a comparison by it favours blunt models.

With residuals r_i = y_i - c_i, gap_b their mean over the n_b answers of bin b, N = sum_b n_b:

    calibration = sum_b n_b/N (gap_b^2 - v_b)      v_b: estimated variance of gap_b, var(r in b) / (n_b - 1)
    ece_debiased = sqrt(max(calibration, 0))       a root mean square gap, in the unit of the ECE
    refinement = Brier - calibration               so Brier = calibration + refinement, both unbiased
    ece_floor = sum_b n_b/n sqrt(2/pi) sd_b        sd_b^2 = sum_(i in b) c_i (1 - c_i) / n_b^2

`calibration` is Broecker's (2012) and Kumar et al.'s (2019, "debiased") estimator of the squared calibration error,
with the variance of the residuals in place of that of the verdicts, so that confidences may differ within a bin and
verdicts may be graded. Its mean is the true value of these bins, whatever n; so the mean of a difference of two models
is the true difference. (A debiased sum of |gap| does not have this: Kumar's removes only about half of the bias at 0.)
By Jensen the root is at least the plain ECE's own limit, and equals it where all gaps have one size.
A bin of a single question tells nothing of v_b: it is left out of `calibration`.

Interval and test. A percentile bootstrap adds the bias again that was taken out. Here the error of the estimate is

    2 sum_b w_b g_b e_b + sum_b w_b (e_b^2 - v_b),     w_b = n_b/N, g_b: true gap, e_b: its error, near normal

whose first part decides far from 0 and whose second, a sum of centred chi-squares, decides at 0, where the normal
limit fails (Sun et al. 2024, "A confidence interval for the l2 expected calibration error"). Variance: that of the
influences, summed over questions within datasets (cluster-robust), less the four times the second part's that the noise
of the gaps puts into it; it never falls below the second part's own. Third cumulant: the second part's. A Pearson III
law of these (Hall 1983, Buckley and Eagleson 1988, for chi-squares) gives quantiles and p-values. The same holds
for a difference of two models on the same questions, with gaps (a, b) and weights (w_a, -w_b).

Variances v_b are not taken apart by dataset within a bin: where gaps differ between datasets they are a little large.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.ranked import Floats, Ranked, divide, estimate
from reward_fns.calibration import DEFAULT_BINS, bin_index, checked_answers

_ROUNDING = 1e-12  # of values in [0, 1]: less is not there


@dataclass(frozen=True)
class Law:
    """An unbiased estimate and the law of its error: Pearson III with these cumulants; NaN where undefined."""

    value: float
    variance: float
    third: float  # third cumulant

    @property
    def _skew(self) -> float:
        return self.third / self.variance**1.5

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Ends between which the true value lies with this probability."""
        from scipy.stats import pearson3

        if not self.variance > 0:
            return self.value, self.value
        tail = (1 - level) / 2
        low, high = pearson3.ppf([tail, 1 - tail], self._skew)
        deviation = self.variance**0.5
        return self.value - deviation * float(high), self.value - deviation * float(low)

    def p_value(self) -> float:
        """Two-sided, of a true value of 0; 1 where the estimate is 0 for certain, NaN where it is undefined."""
        from scipy.stats import pearson3

        if np.isnan(self.value):
            return float("nan")
        if not self.variance > 0:
            return float(abs(self.value) < _ROUNDING)
        z = self.value / self.variance**0.5
        return min(1.0, 2 * float(min(pearson3.cdf(z, self._skew), pearson3.sf(z, self._skew))))


_UNDEFINED = Law(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class SquaredError(Law):
    """An estimate of a squared calibration error, which is 0 or more: its law depends on the true value s.

    Attributes:
        noise: variance at s = 0, where `third` is the third cumulant.
        slope, third_slope: what gaps of one size add to variance and third cumulant, a unit of s.
    """

    noise: float = float("nan")
    slope: float = float("nan")
    third_slope: float = float("nan")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """By inversion of the two one-sided tests; in [0, 1].

        An estimate below 0 counts as 0 for the upper end: by luck too good a fit is no evidence of a small error. So
        at a true error of 0 only the lower end can miss, in half of 1 - level; elsewhere see the tests' simulation.
        """
        if np.isnan(self.value):
            return float("nan"), float("nan")
        tail = (1 - level) / 2
        return self._end(self.value, 1 - tail), self._end(max(self.value, 0.0), tail)

    def _end(self, value: float, probability: float) -> float:
        """The true error at which an estimate of at most `value` has this probability."""
        from scipy.optimize import brentq
        from scipy.stats import pearson3

        def excess(true: float) -> float:
            # What was seen of the linear part, in proportion below the estimate, and at least what equal gaps give.
            seen = (self.variance - self.noise) * min(
                1.0, true / self.value if self.value > 0 else 0
            )
            variance = self.noise + max(seen, self.slope * true)
            if not variance > 0:
                return value - true
            skew = (self.third + self.third_slope * true) / variance**1.5
            return value - true - variance**0.5 * float(pearson3.ppf(probability, skew))

        if excess(0.0) <= 0:
            return 0.0
        return 1.0 if excess(1.0) >= 0 else float(brentq(excess, 0.0, 1.0, xtol=1e-9))


_UNKNOWN_ERROR = SquaredError(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Grouping:
    """The questions of some answers: (n,) number of each answer's question, (k,) number of each question's dataset."""

    question: NDArray[np.intp]
    stratum: NDArray[np.intp]

    @property
    def size(self) -> int:
        """Number of questions."""
        return self.stratum.size


def grouping(
    n: int, strata: ArrayLike | None = None, clusters: ArrayLike | None = None
) -> Grouping:
    """Numbers of questions and datasets from their labels, each (n,); None: each answer its own, one dataset.

    Raises:
        ValueError: the answers to a question lie in two strata.
    """
    label = (
        np.zeros(n, dtype=np.intp)
        if strata is None
        else np.unique(np.asarray(strata), return_inverse=True)[1]
    )
    if label.shape != (n,):
        raise ValueError(f"strata must have shape ({n},), got {label.shape}")
    if clusters is None:
        return Grouping(np.arange(n), label)
    _, first, question = np.unique(np.asarray(clusters), return_index=True, return_inverse=True)
    if (label != label[first][question]).any():
        raise ValueError("the answers to a question lie in two strata")
    return Grouping(question, label[first])


@dataclass(frozen=True)
class _Gaps:
    """One model's gaps: what the estimate and its law are made of; B bins, k questions.

    Attributes:
        weight: (B,), n_b / N; 0 for a bin that holds fewer than two questions.
        gap: (B,).
        error: (k, B), by how much each question moves each gap, in total 0; scaled to an unbiased variance.
        influence: (n,), of each answer on `calibration`, with mean about its value.
    """

    weight: Floats
    gap: Floats
    error: Floats
    influence: Floats

    @property
    def calibration(self) -> float:
        return float(self.weight @ (self.gap**2 - (self.error**2).sum(axis=0)))


def _gaps(c: NDArray[np.floating], y: Floats, groups: Grouping, n_bins: int) -> _Gaps | None:
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
    return _Gaps(count / count.sum(), gap, error / per_bin * unbiased, influence)


def _law(value: float, influence: Floats, weight: Floats, error: Floats, groups: Grouping) -> Law:
    """Law of an estimate with these influences (n,), quadratic in gaps with `weight` (B,) and errors (k, B)."""
    moves = weight[:, None] * (error.T @ error)
    square = moves @ moves
    second, third = float(np.trace(square)), float(np.trace(square @ moves))
    if second <= _ROUNDING * float((moves**2).sum()):  # two models that are the same one
        second = third = 0.0
    first = _clustered_variance(influence, groups)
    # The mean of `first` is the linear part's variance and 4 * second, from the noise of the gaps in it.
    variance = max(first - 4 * second, 0.0) + 2 * second
    if variance < _ROUNDING**2:
        return Law(value, 0.0, 0.0)
    return Law(value, variance, 8 * third)


def _clustered_variance(influence: Floats, groups: Grouping) -> float:
    """Variance of the mean of influences (n,): questions are drawn whole, within their dataset."""
    total = np.bincount(groups.question, influence, minlength=groups.size)
    size = np.bincount(groups.stratum)
    mean = np.bincount(groups.stratum, total) / np.maximum(size, 1)
    rest = np.bincount(groups.stratum, (total - mean[groups.stratum]) ** 2)
    return float((rest * size / np.maximum(size - 1, 1)).sum()) / influence.size**2


Answers = tuple[ArrayLike, ArrayLike]
"""Confidences and verdicts, both (n,), in [0, 1]."""


def calibration(
    answers: Answers,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    n_bins: int = DEFAULT_BINS,
) -> SquaredError:
    """The debiased squared calibration error; below 0 where gaps are smaller than their noise.

    Args:
        answers: confidences and verdicts.
        strata, clusters: (n,), dataset and question of each answer; see `grouping`.

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], n_bins < 1, or a question lies in two strata.
    """
    c, y = checked_answers(*answers)
    return _calibration(c, y, grouping(c.size, strata, clusters), n_bins)


def refinement(
    answers: Answers, strata: ArrayLike | None = None, clusters: ArrayLike | None = None
) -> Law:
    """What the Brier score holds besides the squared calibration error; arguments as for `calibration`."""
    c, y = checked_answers(*answers)
    return _refinement(c, y, grouping(c.size, strata, clusters))


def _calibration(c: NDArray[np.floating], y: Floats, groups: Grouping, n_bins: int) -> SquaredError:
    gaps = _gaps(c, y, groups, n_bins) if c.size else None
    if gaps is None:
        return _UNKNOWN_ERROR
    law = _law(gaps.calibration, gaps.influence, gaps.weight, gaps.error, groups)
    covariance = gaps.error.T @ gaps.error
    moves = gaps.weight[:, None] * covariance
    return SquaredError(
        law.value,
        law.variance,
        law.third,
        noise=2 * float(np.trace(moves @ moves)),
        slope=4 * float(np.trace(moves * gaps.weight)),
        third_slope=24 * float(np.trace(moves @ moves * gaps.weight)),
    )


def _refinement(c: NDArray[np.floating], y: Floats, groups: Grouping) -> Law:
    gaps = _gaps(c, y, groups, DEFAULT_BINS) if c.size else None
    if gaps is None:
        return _UNDEFINED
    loss = (c.astype(np.float64) - y) ** 2
    value = float(loss.mean()) - gaps.calibration
    return _law(value, loss - gaps.influence, -gaps.weight, gaps.error, groups)


@dataclass(frozen=True)
class PairedLaws:
    """Differences of two models, a minus b, on the same questions.

    Attributes:
        calibration: of the squared errors: its law is the test of "equally well calibrated".
        refinement: of the refinements.
        a, b: `calibration` of each model.
    """

    calibration: Law
    refinement: Law
    a: float
    b: float

    def rooted(self) -> tuple[float, float, float]:
        """The difference of the debiased ECEs with its interval: that of the squares over the sum of the roots.

        So it has the sign, and leaves out 0 where, the difference of the squares does. Near 0, where roots say more
        about noise than about errors, the sum is taken to be at least the root of the squares' standard error.
        """
        law = self.calibration
        if np.isnan(law.value):
            return float("nan"), float("nan"), float("nan")
        scale = max(root(self.a) + root(self.b), law.variance**0.25)
        low, high = law.interval()
        return (law.value / scale, low / scale, high / scale) if scale > 0 else (0.0, 0.0, 0.0)


_NO_PAIRS = PairedLaws(_UNDEFINED, _UNDEFINED, float("nan"), float("nan"))


def paired_laws(
    a: Answers, b: Answers, strata: ArrayLike | None = None, clusters: ArrayLike | None = None
) -> PairedLaws:
    """Differences of `calibration` and `refinement`; all four columns (n,), position i is the same question.

    Raises:
        ValueError: as `calibration`, or the two have not the same n.
    """
    (ca, ya), (cb, yb) = checked_answers(*a), checked_answers(*b)
    if ca.shape != cb.shape:
        raise ValueError(f"a and b must answer the same questions, got {ca.size} and {cb.size}")
    if not ca.size:
        return _NO_PAIRS
    groups = grouping(ca.size, strata, clusters)
    first, second = _gaps(ca, ya, groups, DEFAULT_BINS), _gaps(cb, yb, groups, DEFAULT_BINS)
    if first is None or second is None:
        return _NO_PAIRS
    weight = np.concatenate([first.weight, -second.weight])
    error = np.hstack([first.error, second.error])
    value = first.calibration - second.calibration
    influence = first.influence - second.influence
    loss = (ca.astype(np.float64) - ya) ** 2 - (cb.astype(np.float64) - yb) ** 2
    return PairedLaws(
        _law(value, influence, weight, error, groups),
        _law(float(loss.mean()) - value, loss - influence, -weight, error, groups),
        first.calibration,
        second.calibration,
    )


def root(calibration: float) -> float:
    """A squared calibration error in the unit of the ECE, 0 where it is below 0."""
    return max(calibration, 0.0) ** 0.5 if calibration == calibration else calibration


def calibration_rows(answers: Ranked, weights: Floats, n_bins: int = DEFAULT_BINS) -> Floats:
    """Debiased squared calibration error of each resample; each answer is a question's only one."""
    member = np.zeros((answers.correct.size, n_bins))
    member[np.arange(answers.correct.size), bin_index(answers.confidence, n_bins)] = 1.0
    residual = answers.correct - answers.confidence
    count = weights @ member
    gap = divide(weights @ (member * residual[:, None]), count)
    square = divide(weights @ (member * residual[:, None] ** 2), count)
    noise = divide(square - gap**2, count - 1)
    part = np.where(count > 1, count * (gap**2 - noise), 0.0)
    return divide(part.sum(axis=1), np.where(count > 1, count, 0.0).sum(axis=1))


def ece_debiased_rows(answers: Ranked, weights: Floats, n_bins: int = DEFAULT_BINS) -> Floats:
    """Debiased ECE of each resample."""
    return np.sqrt(np.maximum(calibration_rows(answers, weights, n_bins), 0.0))


def refinement_rows(answers: Ranked, weights: Floats) -> Floats:
    """Refinement of each resample."""
    loss = (answers.confidence.astype(np.float64) - answers.correct) ** 2
    return divide(weights @ loss, weights.sum(axis=1)) - calibration_rows(answers, weights)


def debiased_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int = DEFAULT_BINS
) -> float:
    """Debiased ECE with equal-width bins (see the module), in [0, 1]; NaN where no bin holds two answers.

    >>> debiased_calibration_error([0.8, 0.8], [0, 1])  # gap -0.3, var(r)/(n - 1) = 0.25: 0.09 - 0.25 < 0
    0.0

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1], each of another question.

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    return estimate(lambda a, w: ece_debiased_rows(a, w, n_bins), confidence, correct)


def brier_refinement(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Brier score less the squared `debiased_calibration_error` before it is cut off at 0; NaN as there.

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(refinement_rows, confidence, correct)


def ece_floor(confidence: ArrayLike, n_bins: int = DEFAULT_BINS) -> float:
    """Plain ECE that a perfectly calibrated model with these confidences shows on average at this n; NaN for n = 0.

    Verdicts are 0 or 1 and independent. A gap is taken as normal, which is a little too large for a bin that expects
    fewer than two wrong, or two right, answers. Graded verdicts vary less and have a lower floor.

    >>> round(ece_floor([0.5] * 100), 4)  # sqrt(2 / pi) * 0.5 / 10
    0.0399

    Args:
        confidence: (n,), in [0, 1].

    Raises:
        ValueError: a value is NaN or outside [0, 1], or n_bins < 1.
    """
    c, _ = checked_answers(confidence, np.zeros(np.shape(confidence)))
    if not c.size:
        return float("nan")
    wide = c.astype(np.float64)
    variance = np.bincount(bin_index(c, n_bins), wide * (1 - wide))  # of each bin's sum
    return float(np.sqrt(variance * 2 / np.pi).sum() / c.size)
