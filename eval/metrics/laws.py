"""Laws of the errors of two estimates: of a squared calibration error, and of a
difference of two models.

An estimate here is a linear part, near normal, and a sum of centred chi-squares, which decides
where the gaps are near 0:

    error = sigma Z + sum_i lambda_i (Z_i^2 - 1),     Z, Z_i standard normal and independent

`Law` takes this law as it is. Its tail is the contour integral of the moment generating function
(Imhof 1961 and Davies 1980 integrate along the imaginary axis; a line through the saddle point, as
of Lugannani and Rice 1980, keeps the relative accuracy far out). Two moments more do not do: a
sum of one large negative and one small positive chi-square ends in a wall on one side, with a thin
tail behind it, and a Pearson III law with the same skew puts its quantile on the wall, which 7 % of
runs pass where 2.5 % should.

`SquaredError` is an estimate of a value of 0 or more, whose law depends on that value.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics.ranked import Floats

_ROUNDING = 1e-12  # of values in [0, 1]: less is not there
_SMOOTH = 0.01  # of the variance, at least, is normal: verdicts are counts, no wall is sharp
_STEP = 0.08  # between nodes on the contour
_LAST_NODE = 8.0  # over the normal part's deviation: exp(-8^2 / 2) = 1e-14
_OFF_ORIGIN = 0.3  # the integrand has a pole at 0: the contour passes no nearer
_FAR = 40.0  # standard deviations: no quantile that is asked for lies beyond
_NOTHING = 1e-300  # a tail that the integral's rounding may make 0 or less
_NEARLY_NORMAL = 0.000016  # skew: as `scipy.stats.pearson3`


@dataclass(frozen=True)
class Law:
    """An unbiased estimate and the law of its error; NaN where undefined.

    Attributes:
        value: the estimate.
        normal: variance of the normal part.
        chi_squares: the weights lambda_i.
    """

    value: float
    normal: float
    chi_squares: tuple[float, ...] = ()

    @property
    def variance(self) -> float:
        """Of the error: sigma^2 + 2 sum lambda_i^2."""
        return self.normal + 2 * float(np.square(self.chi_squares).sum())

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Ends between which the true value lies with this probability."""
        if not self.variance > 0:
            return self.value, self.value
        deviation = self.variance**0.5
        beyond = (1 - level) / 2
        high = _quantile(self._standard(1), beyond)
        low = _quantile(self._standard(-1), beyond)
        return self.value - deviation * high, self.value + deviation * low

    def p_value(self) -> float:
        """Two-sided, of a true value of 0; 1 where the estimate is 0 for certain, NaN
        where it is undefined.
        """
        if np.isnan(self.value):
            return float("nan")
        if not self.variance > 0:
            return float(abs(self.value) < _ROUNDING)
        z = self.value / self.variance**0.5
        above = self._standard(1 if z > 0 else -1).tail(abs(z))
        return min(1.0, 2 * above)

    def _standard(self, side: int) -> "_Standard":
        """The error in standard deviations; side -1: with its sign turned."""
        weights = side * np.array(self.chi_squares) / self.variance**0.5
        return _Standard(max(self.normal / self.variance, _SMOOTH), weights)


@dataclass(frozen=True)
class _Standard:
    """sigma Z + sum_i lambda_i (Z_i^2 - 1), of variance 1 but for the smoothing."""

    normal: float
    weights: Floats

    @property
    def rightmost(self) -> float:
        """Where the moment generating function still is finite, with room to its pole."""
        largest = self.weights.max(initial=0.0)
        pole = 1 / (2 * largest) if largest > 0 else float("inf")
        return min(0.9 * pole, 2 * _FAR / self.normal)

    def cumulants(self, s: NDArray[Any]) -> NDArray[Any]:
        """Cumulant generating function at real or complex points s (m,)."""
        pairs = np.pad(self.weights, (0, self.weights.size % 2)).reshape(-1, 2, 1)
        factor = 1 - 2 * pairs * s
        # Each factor is right of the imaginary axis: the product of two is off the log's cut.
        logs = np.log(factor[:, 0] * factor[:, 1]).sum(axis=0)
        return self.normal * s**2 / 2 - self.weights.sum() * s - logs / 2

    @cached_property
    def shifts(self) -> tuple[Floats, Floats]:
        """Real points through which a contour may pass and their cumulants, (100,) each."""
        start = min(_OFF_ORIGIN, self.rightmost / 2)
        real = np.geomspace(start, self.rightmost, 100)
        return real, self.cumulants(real)

    @cached_property
    def contours(self) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
        """By its shift's number: a line and its cumulants. Near a quantile it is one line."""
        return {}

    def tail(self, x: float) -> float:
        """P(error > x) for x >= 0."""
        real, cumulants = self.shifts
        number = int(np.argmin(cumulants - real * x))
        if number not in self.contours:
            nodes = np.arange(0.0, _LAST_NODE / self.normal**0.5 + _STEP, _STEP)
            line = real[number] + 1j * nodes
            self.contours[number] = line, self.cumulants(line)
        line, cumulants = self.contours[number]
        integrand = np.exp(cumulants - line * x) / line
        return float(np.clip(np.trapezoid(integrand.real, dx=_STEP) / np.pi, 0.0, 1.0))


def _quantile(law: _Standard, beyond: float) -> float:
    """The x that the error exceeds with this probability, below a half."""
    from scipy.optimize import brentq

    def excess(x: float) -> float:
        """In logarithms, of which the tail is nearly a parabola: that takes few steps."""
        return float(np.log(max(law.tail(x), _NOTHING) / beyond))

    # A law with a wall far to the right of most of its mass exceeds 0 rarely:
    # nothing lies above 0 then.
    if excess(0.0) <= 0:
        return 0.0
    # Cantelli's inequality; the smoothing may make the variance larger than 1.
    farthest = ((1 + _SMOOTH) * (1 - beyond) / beyond) ** 0.5
    return float(brentq(excess, 0.0, farthest, xtol=1e-9))


def _pearson3_quantile(probability: float, skew: float) -> float:
    """`scipy.stats.pearson3.ppf` of one number, without its hundred microseconds of checks."""
    from scipy.special import gammaincinv, ndtri

    if abs(skew) < _NEARLY_NORMAL:
        return float(ndtri(probability))
    beta = 2 / skew
    return float(gammaincinv(beta**2, probability if beta > 0 else 1 - probability)) / beta - beta


@dataclass(frozen=True)
class RareBins:
    """Bins in which one kind of verdict is rare, so that the spread seen says little
    of their noise; all (B,).

    Attributes:
        weight: n_b / N, 0 for the other bins.
        confidence: mean confidence of the bin.
        count: questions of the bin.
        variance: what the law takes as the variance of the gap at a true error of 0.
    """

    weight: Floats
    confidence: Floats
    count: Floats
    variance: Floats

    def slope(self, error: float) -> float:
        """What they add to `SquaredError.slope` where each gap is as large as
        this, on the noisier side.
        """
        chance = np.clip(self.confidence[:, None] + [-error, error], 0, 1)
        noise = (chance * (1 - chance)).max(axis=1) / np.maximum(self.count, 1)
        return 4 * float(self.weight**2 @ np.maximum(noise - self.variance, 0.0))


def _no_bins() -> RareBins:
    return RareBins(*[np.zeros(0)] * 4)


@dataclass(frozen=True)
class SquaredError:
    """An estimate of a squared calibration error, which is 0 or more: its law
    depends on the true value s.

    Each law is taken as a Pearson III (Hall 1983 and Buckley and Eagleson 1988, for chi-squares).

    Attributes:
        value: the estimate; NaN where undefined.
        variance: of the estimate, at the gaps that were seen.
        third: third cumulant at s = 0.
        noise: variance at s = 0.
        slope, third_slope: what gaps of one size add to variance and third cumulant, a unit of s.
        rare: bins whose part in `slope` grows with s.
    """

    value: float
    variance: float = float("nan")
    third: float = float("nan")
    noise: float = float("nan")
    slope: float = float("nan")
    third_slope: float = float("nan")
    rare: RareBins = field(default_factory=_no_bins)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """By inversion of the two one-sided tests; in [0, 1].

        An estimate below 0 counts as 0 for the upper end: by luck too good a fit is no evidence of
        a small error. So at a true error of 0 only the lower end can miss, in half of 1 - level;
        elsewhere see the tests' simulation.
        """
        if np.isnan(self.value):
            return float("nan"), float("nan")
        tail = (1 - level) / 2
        return self._end(self.value, 1 - tail), self._end(max(self.value, 0.0), tail)

    def _end(self, value: float, probability: float) -> float:
        """The true error at which an estimate of at most `value` has this probability."""
        from scipy.optimize import brentq

        def excess(true: float) -> float:
            # What was seen of the linear part, in proportion below the estimate, and at
            # least what equal gaps give.
            seen = (self.variance - self.noise) * min(
                1.0, true / self.value if self.value > 0 else 0
            )
            even = (self.slope + self.rare.slope(true**0.5)) * true
            variance = self.noise + max(seen, even)
            if not variance > 0:
                return value - true
            skew = (self.third + self.third_slope * true) / variance**1.5
            return value - true - variance**0.5 * _pearson3_quantile(probability, skew)

        # Just above 0: there, too, an estimate without noise of its own has that of a true error.
        if excess(_ROUNDING) <= 0:
            return 0.0
        return 1.0 if excess(1.0) >= 0 else float(brentq(excess, _ROUNDING, 1.0, xtol=1e-9))
