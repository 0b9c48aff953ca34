"""Selective prediction: what is left when only confident answers are trusted.

Answers stand in descending order of confidence. An answer without a readable confidence is
never trusted, so it comes last: coverage is a share of all answers, and the accuracy at full
coverage is that of all answers.

    accuracy(k) = (1/k) sum_(i=1..k) y_i,    coverage = k / n,    risk = 1 - accuracy
    AURC        = (1/n) sum_(k=1..n) (1 - accuracy(k))
    (Geifman & El-Yaniv 2017; `ranking.aurc`)

Answers of equal confidence stand in random order; values are expectations over it, so y_i is the
mean verdict of the answers as confident as answer i.

A threshold for a wanted accuracy a is chosen by Learn then Test (Angelopoulos et al. 2021,
arXiv:2110.01052), on one half of the answers, and what it gives is reported on the other half:

1. The candidates are the thresholds t_1 > t_2 > ... at which the other half's confidences reach
   the coverages 5 %, 10 %, ..., 100 %. Its verdicts are not looked at, so the choosing half does
   not know its own candidates.
2. H_i: accuracy(c >= t_i) < a. For 0/1 verdicts the number of right answers among the trusted is
   binomial, and p_i = P(Bin(n_i, a) >= right_i) is the exact test that the Clopper-Pearson bound
   inverts. For graded verdicts p_i is the Hoeffding-Bentkus p-value (Bates et al. 2021,
   arXiv:2101.02703), which holds for any value in [0, 1].
3. The fallback procedure (Wiens 2003) holds the chance of any false rejection at 1 - level: H_i is
   tested at (1 - level) / m, and at what H_(i-1) was tested at besides, if that was rejected.
4. The lowest rejected threshold is chosen: the accuracy of what it trusts is at least a
   with probability `level`.

The answers must be independent: give one answer a question.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.estimates import bootstrap_interval
from eval.metrics.ranked import Floats
from eval.metrics.ranking import aurc

COVERAGES = (1.0, 0.9, 0.8, 0.5)
LEVEL = 0.95
_CANDIDATES = 20
_ROUNDING = 1e-9  # 0.9 * 10 is nine answers, whatever its floating-point value


@dataclass(frozen=True)
class RiskCoverage:
    """Accuracy of the k most confident answers, for k = 1 ... n.

    Attributes:
        coverage: (n,), k / n.
        accuracy: (n,), in [0, 1]; an expectation where answers are equally confident.
    """

    coverage: Floats
    accuracy: Floats

    def accuracy_at(self, coverage: float) -> float:
        """Accuracy of the ceil(coverage * n) most confident answers; NaN for n = 0.

        Raises:
            ValueError: coverage is not in (0, 1].
        """
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage must lie in (0, 1], got {coverage}")
        n = self.accuracy.size
        return float(self.accuracy[_ceil(coverage * n) - 1]) if n else math.nan


@dataclass(frozen=True)
class Threshold:
    """A confidence from which on answers are trusted.

    Attributes:
        value: trust an answer with confidence >= value; NaN if no threshold could be
            shown to be good enough.
        wanted: the accuracy asked for.
        n_chosen_on, n: answers that it was chosen on, and those that the rest is reported on.
        trusted: answers among the n that it trusts; `coverage` is their share.
        accuracy, low, high: of the trusted, with a two-sided interval of 95 %: Clopper-Pearson for
            0/1 verdicts, a percentile bootstrap for graded ones. NaN without a threshold.
    """

    value: float
    wanted: float
    n_chosen_on: int
    n: int
    trusted: int
    accuracy: float
    low: float
    high: float

    @property
    def coverage(self) -> float:
        """Share of answers that are trusted."""
        return self.trusted / self.n if self.n else math.nan


def risk_coverage(confidence: Sequence[float | None], correct: ArrayLike) -> RiskCoverage:
    """The curve.

    >>> risk_coverage([0.9, 0.5, 0.5], [1, 1, 0]).accuracy.tolist()
    [1.0, 0.75, 0.666666666667]

    Args:
        confidence: (n,), in [0, 1]; None where it could not be read.
        correct: (n,), verdicts in [0, 1].

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    c, y = _checked(confidence, correct)
    _, run, size = np.unique(-c, return_inverse=True, return_counts=True)
    mean_of_run = np.bincount(run, weights=y, minlength=size.size) / size
    k = np.arange(1, c.size + 1)
    accuracy = np.repeat(mean_of_run, size).cumsum() / k
    # The same answers in another order differ in the last digit, which a table may
    # round to another third one.
    return RiskCoverage(k / max(c.size, 1), accuracy.round(12))


def selective_aurc(confidence: Sequence[float | None], correct: ArrayLike) -> float:
    """AURC of all answers, those without a readable confidence last; in [0, 1], NaN for n = 0.

    Raises:
        ValueError: as `risk_coverage`.
    """
    c, y = _checked(confidence, correct)
    rank = np.unique(c, return_inverse=True)[1]  # AURC asks for the order alone
    return aurc(rank / max(c.size, 1), y)


def choose_threshold(
    confidence: Sequence[float | None],
    correct: ArrayLike,
    wanted_accuracy: float,
    seed: int = 0,
) -> Threshold:
    """The lowest threshold whose trusted answers are shown to have the wanted
    accuracy; see the module's text.

    With probability 0.95 over the answers, a threshold that is returned has the
    accuracy that was wanted.

    Args:
        confidence: (n,), in [0, 1]; None where it could not be read.
        correct: (n,), verdicts in [0, 1], independent of each other.
        wanted_accuracy: in (0, 1).
        seed: of the draw of the halves.

    Raises:
        ValueError: shapes differ, a value is NaN or outside its range.
    """
    if not 0 < wanted_accuracy < 1:
        raise ValueError(f"the wanted accuracy must lie in (0, 1), got {wanted_accuracy}")
    c, y = _checked(confidence, correct)
    order = np.random.default_rng(seed).permutation(c.size)
    choose, report = order[: c.size // 2], order[c.size // 2 :]
    value = _lowest_shown(_candidates(c[report]), c[choose], y[choose], wanted_accuracy)
    trusted = y[report][c[report] >= value]  # NaN: none
    accuracy, low, high = _mean_with_interval(trusted)
    return Threshold(
        value, wanted_accuracy, choose.size, report.size, trusted.size, accuracy, low, high
    )


def _checked(
    confidence: Sequence[float | None], correct: ArrayLike
) -> tuple[Floats, NDArray[np.float64]]:
    """Both as arrays; a confidence that cannot be read is -1, below all others."""
    read = np.array([-1.0 if c is None else c for c in confidence], dtype=np.float64)
    given = np.array([c is not None for c in confidence], dtype=bool)
    y = np.asarray(correct, dtype=np.float64)
    if read.shape != y.shape:
        raise ValueError(f"confidence and correct must have one shape, got {read.shape}, {y.shape}")
    for name, values in (("confidence", read[given]), ("correct", y)):
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError(f"{name} must lie in [0, 1]")
    return read, y


def _ceil(value: float) -> int:
    return max(1, math.ceil(value - _ROUNDING))


def _candidates(c: Floats) -> Floats:
    """Thresholds at equally spaced coverages, descending; those that would trust what cannot
    be read are left out.
    """
    if not c.size:
        return c
    descending = np.sort(c)[::-1]
    places = [_ceil(i / _CANDIDATES * c.size) - 1 for i in range(1, _CANDIDATES + 1)]
    values = np.unique(descending[places])[::-1]
    return values[values >= 0]


def _lowest_shown(candidates: Floats, c: Floats, y: Floats, wanted: float) -> float:
    """The lowest candidate that the fallback procedure rejects "not accurate enough" for;
    NaN if there is none.
    """
    chosen, passed_on = math.nan, 0.0
    for candidate in candidates:
        level = (1 - LEVEL) / candidates.size + passed_on
        shown = _p_value(y[c >= candidate], wanted) <= level
        passed_on = level if shown else 0.0
        chosen = float(candidate) if shown else chosen
    return chosen


def _p_value(y: Floats, wanted: float) -> float:
    """Of the hypothesis that verdicts y have a mean below `wanted`; 1 without any."""
    from scipy.stats import binom

    n = y.size
    if not n:
        return 1.0
    if _is_binary(y):
        return float(binom.sf(round(y.sum()) - 1, n, wanted))
    error, allowed = 1 - float(y.mean()), 1 - wanted
    bentkus = math.e * float(binom.cdf(math.ceil(n * error - _ROUNDING), n, allowed))
    return min(1.0, bentkus, math.exp(-n * _relative_entropy(min(error, allowed), allowed)))


def _relative_entropy(a: float, b: float) -> float:
    """Of two Bernoulli distributions of means a and b, in nats; b in (0, 1)."""
    from scipy.special import rel_entr

    return float(rel_entr(a, b) + rel_entr(1 - a, 1 - b))


def _is_binary(y: Floats) -> bool:
    return bool(np.all((y == 0) | (y == 1)))


def _mean_with_interval(y: Floats) -> tuple[float, float, float]:
    from scipy.stats import binomtest

    if not y.size:
        return math.nan, math.nan, math.nan
    if _is_binary(y):
        exact = binomtest(round(y.sum()), y.size).proportion_ci(LEVEL, method="exact")
        return float(y.mean()), float(exact.low), float(exact.high)
    return float(y.mean()), *bootstrap_interval("accuracy", y, y)
