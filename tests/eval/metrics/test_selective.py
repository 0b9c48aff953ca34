"""Risk and coverage by hand, and the guarantee of a chosen threshold by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import beta

from eval.metrics import aurc
from eval.metrics.selective import LEVEL, choose_threshold, risk_coverage, selective_aurc

C = [0.9, 0.9, 0.5, 0.5, 0.5]
Y = [1, 0, 1, 1, 0]
# Ties in expectation: y is 1/2, 1/2, 2/3, 2/3, 2/3 in descending order.


def test_accuracy_of_the_most_confident_with_ties_in_expectation():
    curve = risk_coverage(C, Y)
    assert curve.coverage.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert curve.accuracy.tolist() == pytest.approx([1 / 2, 1 / 2, 5 / 9, 7 / 12, 3 / 5])
    assert curve.accuracy_at(0.8) == pytest.approx(7 / 12)  # 4 of 5
    assert curve.accuracy_at(0.5) == pytest.approx(5 / 9)  # 2.5 answers are 3
    assert curve.accuracy_at(1.0) == pytest.approx(3 / 5)


def test_a_coverage_is_not_rounded_up_by_floating_point():
    # 0.7 * 10 is 7.000000000000001 in some orders of operation; 0.1 * 3 * 10 certainly is over 3.
    curve = risk_coverage(np.linspace(1, 0.1, 10).tolist(), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    assert curve.accuracy_at(0.1 * 3) == 1.0


def test_the_mean_risk_is_aurc():
    rng = np.random.default_rng(3)
    c, y = rng.integers(0, 8, 200) / 7, rng.integers(0, 2, 200)
    assert 1 - risk_coverage(c.tolist(), y).accuracy.mean() == pytest.approx(aurc(c, y))
    assert selective_aurc(c.tolist(), y) == pytest.approx(aurc(c, y))


def test_the_accuracy_of_all_answers_is_the_same_in_any_order():
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in floating point.
    y = [0.1, 0.2, 0.3]
    orders = [[0.9, 0.8, 0.7], [0.7, 0.8, 0.9], [0.5, 0.5, 0.5]]
    assert {risk_coverage(c, y).accuracy_at(1.0) for c in orders} == {0.2}


def test_what_cannot_be_read_comes_last_and_is_in_the_accuracy_of_all():
    # Even below a confidence of 0: risks 0 and 1/2.
    curve = risk_coverage([None, 0.0], [0, 1])
    assert curve.accuracy.tolist() == [1.0, 0.5]
    assert selective_aurc([None, 0.0], [0, 1]) == 0.25


def test_no_answers_give_nan():
    assert math.isnan(risk_coverage([], []).accuracy_at(0.5))
    assert math.isnan(selective_aurc([], []))
    assert math.isnan(choose_threshold([], [], 0.9).value)


@pytest.mark.parametrize(
    ("confidence", "correct"), [([1.5], [1]), ([0.5], [2]), ([0.5], [1, 0]), ([math.nan], [1])]
)
def test_values_out_of_range_are_refused(confidence, correct):
    with pytest.raises(ValueError):
        risk_coverage(confidence, correct)


@pytest.mark.parametrize("wanted", [0.0, 1.0, 90.0])
def test_a_wanted_accuracy_out_of_range_is_refused(wanted):
    with pytest.raises(ValueError, match="wanted accuracy"):
        choose_threshold([0.5], [1], wanted)


RUNS, N = 1000, 1000
TOLERANCE = 3 * math.sqrt(LEVEL * (1 - LEVEL) / RUNS)  # three standard errors of the share


def draws(accuracy_at, graded=False):
    """Answers whose confidence is uniform, right with probability accuracy_at(confidence)."""
    rng = np.random.default_rng(11)
    for _ in range(RUNS):
        c = rng.uniform(size=N)
        p = accuracy_at(c)
        yield c.tolist(), (rng.beta(4 * p, 4 * (1 - p)) if graded else rng.uniform(size=N) < p)


def likely(c):
    """P(right); what a threshold t trusts is right with probability `truth(t)`,
    so 0.2 gives 0.8.
    """
    return 0.5 + 0.5 * c


def truth(threshold):
    return 0.75 + 0.25 * threshold


@pytest.mark.parametrize("graded", [False, True])
def test_the_wanted_accuracy_is_met_at_the_nominal_rate(graded):
    values = [choose_threshold(c, y, 0.8).value for c, y in draws(likely, graded)]
    found = [value for value in values if not math.isnan(value)]
    assert sum(truth(value) < 0.8 for value in found) / RUNS <= 1 - LEVEL + TOLERANCE
    assert len(found) > 0.95 * RUNS  # it nearly always finds one, ...
    assert np.median(found) < 0.5  # ... and keeps more than half of the answers


def test_the_wanted_accuracy_is_met_where_every_threshold_falls_short_of_it():
    # The hardest case: any choice is wrong, and twenty candidates invite one.
    found = [choose_threshold(c, y, 0.8).value for c, y in draws(lambda c: np.full(N, 0.799))]
    missed = sum(not math.isnan(value) for value in found) / RUNS
    assert missed <= 1 - LEVEL + TOLERANCE


def test_the_best_looking_threshold_would_miss_it_often():
    """What the guarantee is for: the simulation above tells the two apart."""

    def naive(c, y):
        accuracy = risk_coverage(c, y).accuracy
        enough = np.flatnonzero(accuracy >= 0.8)
        return np.sort(c)[::-1][enough[-1]] if enough.size else math.nan

    missed = sum(truth(naive(c, y)) < 0.8 for c, y in draws(likely)) / RUNS
    assert missed > 0.3


def test_the_reported_interval_covers_the_truth():
    reported = [choose_threshold(c, y, 0.8) for c, y in draws(likely)]
    covered = [t.low <= truth(t.value) <= t.high for t in reported if not math.isnan(t.value)]
    assert np.mean(covered) >= LEVEL - TOLERANCE  # exact intervals are a little wide


def test_coverage_accuracy_and_interval_are_those_of_the_other_half():
    rng = np.random.default_rng(0)
    c = np.repeat([0.9, 0.2], 200)
    y = np.where(c > 0.5, 1.0, rng.integers(0, 2, 400))
    found = choose_threshold(c.tolist(), y, 0.9)
    _, other = np.split(np.random.default_rng(0).permutation(400), 2)
    trusted = int((c[other] == 0.9).sum())
    assert (found.value, found.n_chosen_on, found.n) == (0.9, 200, 200)
    assert found.coverage == trusted / 200 and found.accuracy == found.high == 1.0
    # Clopper-Pearson with all n right: the lower end is (alpha / 2)^(1/n).
    assert found.low == pytest.approx(0.025 ** (1 / trusted))
    assert found.low == pytest.approx(beta.ppf(0.025, trusted, 1))


def test_too_few_answers_give_no_threshold():
    # All five right in the choosing half: 0.9^5 = 0.59 shows nothing.
    found = choose_threshold([0.9] * 10, [1] * 10, 0.9)
    assert math.isnan(found.value) and found.trusted == 0 and math.isnan(found.accuracy)


def test_what_cannot_be_read_is_never_trusted():
    found = choose_threshold([0.9] * 200 + [None] * 200, [1] * 400, 0.8)
    assert found.value == 0.9 and 0.3 < found.coverage < 0.7
