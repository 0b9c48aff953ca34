"""Calibration error without the bias of few answers, its parts of the Brier score, and
the floor of the plain ECE.

The plain ECE sums |gap| over bins, to which noise adds: a perfectly calibrated model shows an
ECE above 0, the `ece_floor`, the larger the further its confidences are spread. So a comparison
by it favours blunt models.

With residuals r_i = y_i - c_i, gap_b their mean over the n_b answers of bin b, N = sum_b n_b:

    calibration = sum_b n_b/N (gap_b^2 - v_b)      v_b: estimated variance of gap_b,
                                                   var(r in b) / (n_b - 1)
    ece_debiased = sqrt(max(calibration, 0))       a root mean square gap, in the unit of the ECE
    refinement = Brier - calibration               so Brier = calibration + refinement,
                                                   both unbiased
    ece_floor = sum_b n_b/n sqrt(2/pi) sd_b        sd_b^2 = sum_(i in b) c_i (1 - c_i) / n_b^2

`calibration` is Broecker's (2012) and Kumar et al.'s (2019, "debiased") estimator of the squared
calibration error, with the variance of the residuals in place of that of the verdicts, so that
confidences may differ within a bin and verdicts may be graded. Its mean is the true value of these
bins, whatever n; so the mean of a difference of two models is the true difference. (A debiased sum
of |gap| does not have this: Kumar's removes only about half of the bias at 0.) By Jensen the root
is at least the plain ECE's own limit, and equals it where all gaps have one size. A bin of a
single question tells nothing of v_b: it is left out of `calibration`.

Interval and test. A percentile bootstrap adds the bias again that was taken out. Here the
error of the estimate is

    2 sum_b w_b g_b e_b + sum_b w_b (e_b^2 - v_b)
    w_b = n_b/N, g_b: true gap, e_b: its error, near normal

whose first part decides far from 0 and whose second, a sum of centred chi-squares, decides at 0,
where the normal limit fails (Sun et al. 2024, "A confidence interval for the l2 expected
calibration error"). Variance of the first: that of the influences, summed over questions within
datasets (cluster-robust), less what the noise of the gaps puts into it. Weights of the second: the
eigenvalues of w_b times the covariance of the gaps. `laws` makes intervals and p-values of both.
The same holds for a difference of two models on the same questions, with gaps (a, b) and weights
(w_a, -w_b). Where verdicts of one kind are rare in a bin, the law (not the estimate) takes its
variance to be at least the one that the confidences imply, as a score test does.

Variances v_b are not taken apart by dataset within a bin: where gaps differ between datasets
they are a little large.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.gaps import Grouping, gaps_of, grouping, law_of
from eval.metrics.laws import Law, SquaredError
from eval.metrics.ranked import Floats, Ranked, divide, estimate
from reward_fns.calibration import DEFAULT_BINS, bin_index, checked_answers

_NAN = float("nan")
_UNDEFINED = Law(_NAN, _NAN)
_UNKNOWN_ERROR = SquaredError(_NAN)


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
        ValueError: shapes differ, a value is NaN or outside [0, 1], n_bins < 1, or a
            question lies in two strata.
    """
    c, y = checked_answers(*answers)
    return _calibration(c, y, grouping(c.size, strata, clusters), n_bins)


def refinement(
    answers: Answers, strata: ArrayLike | None = None, clusters: ArrayLike | None = None
) -> Law:
    """What the Brier score holds besides the squared calibration error; arguments
    as for `calibration`.
    """
    c, y = checked_answers(*answers)
    return _refinement(c, y, grouping(c.size, strata, clusters))


def _calibration(c: NDArray[np.floating], y: Floats, groups: Grouping, n_bins: int) -> SquaredError:
    gaps = gaps_of(c, y, groups, n_bins) if c.size else None
    if gaps is None:
        return _UNKNOWN_ERROR
    law = law_of(gaps.calibration, gaps.influence, gaps.weight, gaps.error, gaps.unseen, groups)
    moves = gaps.weight[:, None] * (gaps.error.T @ gaps.error + np.diag(gaps.unseen))
    return SquaredError(
        law.value,
        law.variance,
        third=8 * float(np.trace(moves @ moves @ moves)),
        noise=2 * float(np.trace(moves @ moves)),
        slope=4 * float(np.trace(moves * gaps.weight)),
        third_slope=24 * float(np.trace(moves @ moves * gaps.weight)),
        rare=gaps.rare,
    )


def _refinement(c: NDArray[np.floating], y: Floats, groups: Grouping) -> Law:
    gaps = gaps_of(c, y, groups, DEFAULT_BINS) if c.size else None
    if gaps is None:
        return _UNDEFINED
    loss = (c.astype(np.float64) - y) ** 2
    value = float(loss.mean()) - gaps.calibration
    return law_of(value, loss - gaps.influence, -gaps.weight, gaps.error, gaps.unseen, groups)


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
        """The difference of the debiased ECEs with its interval: that of the squares
        over the sum of the roots.

        So the interval leaves out 0 where that of the squares does. Near 0, where roots say more
        about noise than about errors, the sum is taken to be at least the root of the squares'
        standard error. The value is the difference of the two roots as they are shown, but for its
        ends where the interval lies beside it.
        """
        law = self.calibration
        if np.isnan(law.value):
            return float("nan"), float("nan"), float("nan")
        scale = max(root(self.a) + root(self.b), law.variance**0.25)
        if not scale > 0:
            return 0.0, 0.0, 0.0
        low, high = (end / scale for end in law.interval())
        return min(max(root(self.a) - root(self.b), low), high), low, high


_NO_PAIRS = PairedLaws(_UNDEFINED, _UNDEFINED, float("nan"), float("nan"))


def paired_laws(
    a: Answers, b: Answers, strata: ArrayLike | None = None, clusters: ArrayLike | None = None
) -> PairedLaws:
    """Differences of `calibration` and `refinement`; all four columns (n,),
    position i is the same question.

    Raises:
        ValueError: as `calibration`, or the two have not the same n.
    """
    (ca, ya), (cb, yb) = checked_answers(*a), checked_answers(*b)
    if ca.shape != cb.shape:
        raise ValueError(f"a and b must answer the same questions, got {ca.size} and {cb.size}")
    if not ca.size:
        return _NO_PAIRS
    groups = grouping(ca.size, strata, clusters)
    first, second = gaps_of(ca, ya, groups, DEFAULT_BINS), gaps_of(cb, yb, groups, DEFAULT_BINS)
    if first is None or second is None:
        return _NO_PAIRS
    if np.array_equal(ca, cb) and np.array_equal(ya, yb):
        return PairedLaws(Law(0.0, 0.0), Law(0.0, 0.0), first.calibration, second.calibration)
    weight = np.concatenate([first.weight, -second.weight])
    error = np.hstack([first.error, second.error])
    unseen = np.concatenate([first.unseen, second.unseen])
    value = first.calibration - second.calibration
    influence = first.influence - second.influence
    loss = (ca.astype(np.float64) - ya) ** 2 - (cb.astype(np.float64) - yb) ** 2
    return PairedLaws(
        law_of(value, influence, weight, error, unseen, groups),
        law_of(float(loss.mean()) - value, loss - influence, -weight, error, unseen, groups),
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
    """Debiased ECE with equal-width bins (see the module), in [0, 1]; NaN where
    no bin holds two answers.

    >>> # gap -0.3, var(r)/(n - 1) = 0.25: 0.09 - 0.25 < 0
    >>> debiased_calibration_error([0.8, 0.8], [0, 1])
    0.0

    Args:
        confidence: (n,), in [0, 1].
        correct: (n,), verdicts in [0, 1], each of another question.

    Raises:
        ValueError: shapes differ, a value is NaN or outside [0, 1], or n_bins < 1.
    """
    return estimate(lambda a, w: ece_debiased_rows(a, w, n_bins), confidence, correct)


def brier_refinement(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Brier score less the squared `debiased_calibration_error` before it is
    cut off at 0; NaN as there.

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(refinement_rows, confidence, correct)


def ece_floor(confidence: ArrayLike, n_bins: int = DEFAULT_BINS) -> float:
    """Plain ECE that a perfectly calibrated model with these confidences shows on average
    at this n; NaN for n = 0.

    Verdicts are 0 or 1 and independent. A gap is taken as normal, which is a little too large
    for a bin that expects fewer than two wrong, or two right, answers. Graded verdicts vary
    less and have a lower floor.

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
