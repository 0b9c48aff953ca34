"""The debiased ECE by hand, its interval and its test by simulation (seeds fixed),
the floor of the plain ECE.
"""

import math

import numpy as np
import pytest
from scipy.stats import binom

from eval.metrics import (
    auroc,
    auroc_thresholded,
    bootstrap_interval,
    brier_refinement,
    brier_score,
    debiased_calibration_error,
    ece_floor,
    estimate_all,
    expected_calibration_error,
    paired_bootstrap_difference,
)
from eval.metrics.debiased import calibration, paired_laws, refinement

RUNS = 400


def spread(rng, n):
    """Confidences of many values, away from 0 and 1,
    so that an error of 0.05 either way is possible.
    """
    return 0.05 + 0.9 * rng.random(n)


def verdicts(rng, c, error):
    """Right with probability c plus or minus the error, by turns from bin to bin."""
    side = np.where(np.floor(c * 10) % 2 == 0, 1, -1)
    return (rng.random(c.size) < c + error * side).astype(float)


def test_by_hand():
    # gap 7/8 - 1/2 = 0.375; residuals are 0.5 or -0.5: variance 0.25 - 0.375^2 = 0.109375,
    # over n - 1 = 7: 0.015625
    c, y = [0.5] * 8, [1] * 7 + [0]
    assert debiased_calibration_error(c, y) == pytest.approx((0.140625 - 0.015625) ** 0.5)
    assert brier_refinement(c, y) == pytest.approx(0.25 - 0.125)
    # a second bin of two answers: gap 0 - 0.1, no variance; weights 0.8 and 0.2
    assert debiased_calibration_error([*c, 0.1, 0.1], [*y, 0, 0]) == pytest.approx(
        (0.8 * 0.125 + 0.2 * 0.01) ** 0.5
    )
    # an answer alone in its bin is left out
    assert debiased_calibration_error([*c, 0.1], [*y, 1]) == pytest.approx(0.125**0.5)


def test_graded_verdicts_and_too_few_answers():
    # four verdicts of 0.75 at 0.5: the gap is 0.25 and nothing varies
    assert debiased_calibration_error([0.5] * 4, [0.75] * 4) == pytest.approx(0.25)
    assert math.isnan(debiased_calibration_error([0.5], [1]))
    found = estimate_all([0.5, 0.05], [1, 0], metrics=["ece_debiased", "refinement"])
    assert all(one.reason == "no bin holds two questions" for one in found.values())


def test_brier_is_calibration_and_refinement():
    rng = np.random.default_rng(0)
    c = rng.random(200)
    y = verdicts(rng, c, 0)
    parts = calibration((c, y)).value + refinement((c, y)).value
    assert parts == pytest.approx(brier_score(c, y))


def test_the_estimate_has_no_bias_where_the_plain_one_has():
    """The mean over 2,000 runs of 100 answers is 0 within three standard errors;
    that of the plain ECE is the floor.
    """
    rng = np.random.default_rng(1)
    squares, plain, floors = [], [], []
    for _ in range(2000):
        c = rng.random(100)
        y = (rng.random(100) < c).astype(float)
        squares.append(calibration((c, y)).value)
        plain.append(expected_calibration_error(c, y))
        floors.append(ece_floor(c))
    assert abs(np.mean(squares)) < 3 * np.std(squares) / 2000**0.5
    # The bins at the ends expect half a wrong answer each: there the floor is a little large.
    assert np.mean(plain) == pytest.approx(np.mean(floors), rel=0.03) and np.mean(plain) > 0.09


@pytest.mark.parametrize("n", [100, 300, 1000])
@pytest.mark.parametrize("error", [0.0, 0.05])
@pytest.mark.parametrize("constant", [False, True])
def test_the_interval_covers(n, error, constant):
    """Nominal 95 %; of 400 runs at least 368 (binomial: fewer in 2 of 1,000). At 0 and for few
    answers it is conservative (the upper end hardly misses), so there is no bound above."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(RUNS):
        c = np.full(n, 0.7) if constant else spread(rng, n)
        low, high = bootstrap_interval("ece_debiased", c, verdicts(rng, c, error))
        held += low <= error <= high
    assert held >= binom.ppf(0.002, RUNS, 0.95)


def test_the_interval_narrows_with_n():
    rng = np.random.default_rng(3)
    c = spread(rng, 20_000)
    low, high = bootstrap_interval("ece_debiased", c, verdicts(rng, c, 0.05))
    # sd of the mean of 0.17-variance verdicts is 0.003 at n = 20,000
    assert 0.04 < low < 0.05 < high < 0.06


def test_answers_to_one_question_count_once():
    """Ten equal answers a question: the noise is that of 60 questions, and so are value,
    interval and coverage.
    """
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(RUNS):
        c = spread(rng, 60)
        y = verdicts(rng, c, 0)
        ten = estimate_all(
            np.repeat(c, 10).tolist(),
            np.repeat(y, 10),
            metrics=["ece_debiased"],
            clusters=np.repeat(np.arange(60), 10),
        )["ece_debiased"]
        held += ten.low == 0
    one = estimate_all(c.tolist(), y, metrics=["ece_debiased"])["ece_debiased"]
    assert (ten.value, ten.low, ten.high) == pytest.approx((one.value, one.low, one.high), abs=1e-6)
    assert held >= binom.ppf(0.002, RUNS, 0.95)


def test_strata_take_out_what_differs_between_them():
    """Dataset a states 0.5 and is right every other time: each answer costs 0.25.

    Dataset b is never wrong.
    """
    c, y = np.repeat([0.5, 0.0], 50), np.concatenate([np.tile([0.0, 1.0], 25), np.zeros(50)])
    datasets = np.repeat(["a", "b"], 50)
    # The gap at 0.5 has variance 0.25 / 49 and weight 1/2;
    # the centred square's variance is twice the square of both.
    noise = 2 * (0.5 * 0.25 / 49) ** 2
    assert refinement((c, y), strata=datasets).variance == pytest.approx(noise)
    # In one stratum the mean cost varies with the share of a:
    # 0.125^2 / 99, less four times half of the noise.
    whole = 0.125**2 / 99
    assert refinement((c, y)).variance == pytest.approx(whole - 2 * noise + noise)
    with pytest.raises(ValueError, match="two strata"):
        refinement((c, y), strata=datasets, clusters=np.tile(np.arange(50), 2))


@pytest.mark.parametrize("n", [30, 100, 300, 1000])
def test_two_calibrated_models_are_not_told_apart_because_one_is_blunt(n):
    """One states the chance of each answer, the other their mean, and both are perfectly
    calibrated. By the difference of the plain ECEs the blunt one wins in 34 to 58 % of runs;
    each may win in 2.5 %."""
    rng = np.random.default_rng(5)
    blunt = sharp = 0
    for _ in range(RUNS):
        chance = rng.random(n)
        y = (rng.random(n) < chance).astype(float)
        low, high = paired_laws((np.full(n, 0.5), y), (chance, y)).calibration.interval()
        blunt += high < 0
        sharp += low > 0
    most = binom.ppf(0.999, RUNS, 0.025)
    assert blunt <= most and sharp <= most


@pytest.mark.parametrize(
    ("stated_a", "stated_b", "n"),
    [(0.95, 0.6, 300), (0.9, 0.5, 50), (0.99, 0.97, 50), (0.99, 0.97, 300), (0.99, 0.6, 50)],
)
def test_two_calibrated_models_of_one_confidence_each_are_not_told_apart(stated_a, stated_b, n):
    """Near the ends and in one bin each; with a Pearson III law and the variance seen:
    5 to 36 %.
    """
    rng = np.random.default_rng(8)
    worse = better = 0
    for _ in range(RUNS):
        a, b = np.full(n, stated_a), np.full(n, stated_b)
        verdicts_a, verdicts_b = (
            (rng.random(n) < a).astype(float),
            (rng.random(n) < b).astype(float),
        )
        low, high = paired_laws((a, verdicts_a), (b, verdicts_b)).calibration.interval()
        worse += low > 0
        better += high < 0
    assert max(worse, better) <= binom.ppf(0.999, RUNS, 0.025)


def test_thirty_right_of_thirty_are_no_proof_against_099():
    right = np.ones(30)
    law = paired_laws((np.full(30, 0.99), right), (right, right)).calibration
    low, high = law.interval()
    # gaps 0.01 and 0: the squares differ by 0.0001,
    # whose noise at 0.99 * 0.01 / 30 = 0.00033 is larger
    assert law.value == pytest.approx(0.0001) and low < 0 < high and law.p_value() > 0.3


@pytest.mark.parametrize(("stated", "accuracy"), [(1.0, 0.98), (1.0, 0.95), (0.98, 0.98)])
def test_the_interval_covers_near_one(stated, accuracy):
    """50 answers, of which all may be right:
    with the variance seen the interval was a point in 36 % of runs.
    """
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(RUNS):
        y = (rng.random(50) < accuracy).astype(float)
        low, high = bootstrap_interval("ece_debiased", np.full(50, stated), y)
        held += low <= stated - accuracy + 1e-12 and high >= stated - accuracy - 1e-12
    assert held >= binom.ppf(0.002, RUNS, 0.95)


def test_a_real_difference_is_found_whichever_is_blunt():
    """The blunt model is off by 0.2, then the sharp one."""
    rng = np.random.default_rng(6)
    chance = 0.2 + 0.6 * rng.random(1000)
    y = (rng.random(1000) < chance).astype(float)
    off = paired_bootstrap_difference("ece_debiased", np.full(1000, 0.7), y, chance, y)
    assert off.low > 0 and off.p_smooth < 1e-6
    # the roots: 0.2 and about 0
    assert off.value == pytest.approx(0.2, abs=0.05)
    off = paired_bootstrap_difference("ece_debiased", np.full(1000, 0.5), y, chance + 0.2, y)
    assert off.high < 0 and off.p_smooth < 1e-6


def test_the_difference_is_that_of_the_two_values_shown():
    """One estimate of the squares is below 0 and shown as 0: the difference is the other's root."""
    c, right = np.full(100, 0.7), np.repeat([1.0, 0.0], [70, 30])
    wrong = np.repeat([1.0, 0.0], [40, 60])
    laws = paired_laws((c, wrong), (c, right))
    # gap -0.3: 0.09 - 0.24 / 99; the other's gap is 0, less its noise
    assert laws.b < 0 and laws.rooted()[0] == pytest.approx((0.09 - 0.24 / 99) ** 0.5)


def test_a_model_does_not_differ_from_itself():
    rng = np.random.default_rng(7)
    c = rng.random(50)
    y = verdicts(rng, c, 0)
    for name in ("ece_debiased", "refinement"):
        same = paired_bootstrap_difference(name, c, y, c, y)
        assert (same.value, same.low, same.high, same.p_smooth) == (0, 0, 0, 1)


def test_the_p_value_of_a_bootstrap_has_no_floor():
    """Holm's first step over 100 pairs asks for 0.0005, which 1,000 resamples,
    at least 0.002, cannot say.
    """
    c, y = np.tile([0.2, 0.8], 200), np.tile([0.0, 1.0], 200)
    off = paired_bootstrap_difference("brier", c, y, 1 - c + 0.05 * y, y)
    assert off.p_value == pytest.approx(0.002) and off.p_smooth < 1e-9


def test_the_floor_of_even_confidences():
    # mean over bins of sqrt(2 / pi) sqrt(c (1 - c)) / sqrt(n / 10): 0.0315 and 0.00997
    assert ece_floor((np.arange(1000) + 0.5) / 1000) == pytest.approx(0.032, abs=0.0005)
    assert ece_floor((np.arange(10_000) + 0.5) / 10_000) == pytest.approx(0.010, abs=0.0005)
    assert ece_floor([0.0, 1.0]) == 0 and math.isnan(ece_floor([]))


def test_a_perfect_order_of_graded_verdicts_reaches_one_only_when_they_are_cut():
    # verdicts k/4 for k = 1, 2, 3, in order. Positives weigh 1/4, 1/2, 3/4, negatives 3/4, 1/2,
    # 1/4, in all 1.5 each. won: 1/2 * 3/4 + 3/4 * (3/4 + 1/2) = 1.3125; tied:
    # (3/16 + 1/4 + 3/16) / 2 = 0.3125; 1.625 / 2.25
    graded = [0.25, 0.5, 0.75]
    assert auroc(graded, graded) == pytest.approx(1.625 / 2.25)
    assert auroc_thresholded(graded, graded) == 1.0
    # 0.5 counts as right: of the pairs (0.5, 0.25) and (0.75, 0.25) the confidences order one
    assert auroc_thresholded([0.3, 0.2, 0.9], graded) == pytest.approx(0.5)
    assert auroc_thresholded([0.2, 0.8, 0.8], [0, 0, 1]) == auroc([0.2, 0.8, 0.8], [0, 0, 1])
    found = estimate_all([0.2, 0.8], [0.6, 0.9], metrics=["auroc_thresholded"])
    assert "one side of 0.5" in found["auroc_thresholded"].reason
