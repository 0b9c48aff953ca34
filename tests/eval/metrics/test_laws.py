"""Quantiles and tails of `Law` against scipy's normal and chi-square laws and a simulation."""

import numpy as np
import pytest
from scipy import stats

from eval.metrics.laws import Law


def test_a_normal_error():
    assert Law(0.0, 4.0).interval() == pytest.approx((-3.919928, 3.919928))
    # far out the tail keeps its relative accuracy
    assert Law(8.0, 1.0).p_value() == pytest.approx(2 * stats.norm.sf(8.0), rel=1e-6)


def test_one_chi_square():
    # 2 (Z^2 - 1) has the quantile 2 (5.0239 - 1); the interval's low end is 1 less it. The other
    # end is a wall at -2, which the smoothing (a normal part of a hundredth of the variance)
    # lets through by a little.
    low, high = Law(1.0, 0.0, (2.0,)).interval()
    assert low == pytest.approx(1 - 2 * (stats.chi2.ppf(0.975, 1) - 1), rel=0.01)
    assert 3.0 < high < 3.4


@pytest.mark.parametrize("weights", [(1.0, -5.0), (1.0, 1.0, -1.0), (0.2, 0.1, -3.0, -0.5)])
def test_a_sum_of_chi_squares_and_a_normal_part(weights):
    rng = np.random.default_rng(0)
    law = Law(0.0, 0.5, weights)
    drawn = (rng.standard_normal((400_000, len(weights))) ** 2 - 1) @ np.array(weights)
    drawn += 0.5**0.5 * rng.standard_normal(400_000)
    assert law.variance == pytest.approx(drawn.var(), rel=0.05)
    low, high = law.interval()
    assert np.mean(drawn < -high) == pytest.approx(0.025, abs=0.003)
    assert np.mean(drawn > -low) == pytest.approx(0.025, abs=0.003)
    assert Law(-low, 0.5, weights).p_value() == pytest.approx(0.05, rel=0.01)


def test_an_estimate_without_noise_is_certain():
    assert Law(0.0, 0.0).p_value() == 1 and Law(0.1, 0.0).p_value() == 0
    assert Law(0.1, 0.0).interval() == (0.1, 0.1)
