"""Metrics against hand arithmetic; the ECE itself is in reward_fns."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reward_fns.calibration
from eval.metrics import (
    auroc,
    bootstrap_interval,
    brier_score,
    expected_calibration_error,
    reliability_bins,
)

METRICS = [expected_calibration_error, auroc, brier_score]


def test_graded_verdicts_by_hand():
    # both in bin 5: |(0.5 + 1.0) / 2 - (0.5 + 0.55) / 2| = 0.225
    assert expected_calibration_error([0.5, 0.55], [0.5, 1.0]) == pytest.approx(0.225)
    # (0.25^2 + 0.5^2) / 2
    assert brier_score([0.5, 0.5], [0.25, 1.0]) == pytest.approx(0.15625)
    # positives: 0.2 of weight 0.5, 0.8 of weight 1; negatives: 0.2 of weight 0.5.
    # (0.5 * 0.5 * 1/2 + 1 * 0.5) / (1.5 * 0.5)
    assert auroc([0.2, 0.8], [0.5, 1.0]) == pytest.approx(0.625 / 0.75)


def test_auroc_by_hand_with_ties():
    # pairs (right, wrong): (0.8, 0.8) tie, (0.8, 0.3) won, (0.5, 0.8) lost, (0.5, 0.3) won
    assert auroc([0.8, 0.5, 0.8, 0.3], [1, 1, 0, 0]) == pytest.approx(2.5 / 4)
    assert auroc([0.7, 0.7, 0.7], [1, 0, 1]) == 0.5


@pytest.mark.parametrize("verdict", [0, 1])
def test_auroc_of_one_class_is_nan(verdict):
    assert math.isnan(auroc([0.1, 0.9], [verdict, verdict]))
    assert all(map(math.isnan, bootstrap_interval(auroc, [0.1, 0.9], [verdict, verdict])))


@pytest.mark.parametrize("metric", METRICS)
def test_no_answers_give_nan(metric):
    assert math.isnan(metric([], []))
    assert all(map(math.isnan, bootstrap_interval(metric, [], [])))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.5], [1, 0], "one shape"),
        ([[0.5]], [[1]], "one shape"),
        (0.5, 1, "one shape"),
        ([1.1], [1], "confidence must lie"),
        ([-0.1], [1], "confidence must lie"),
        ([math.nan], [1], "confidence must lie"),
        ([0.5], [2], "correct must lie"),
        ([0.5], [math.nan], "correct must lie"),
    ],
)
def test_unusable_values_are_refused(metric, confidence, correct, message):
    with pytest.raises(ValueError, match=message):
        metric(confidence, correct)


answers = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1), st.sampled_from([k / 10 for k in range(11)])),
        st.sampled_from([0, 1, 0.25]),
    ),
    min_size=1,
    max_size=40,
)


@given(answers)
def test_auroc_equals_the_definition_in_loops(pairs):
    won = weight = 0.0
    for c, y in pairs:
        for d, z in pairs:
            won += y * (1 - z) * ((c > d) + (c == d) / 2)
            weight += y * (1 - z)
    value = auroc(*zip(*pairs, strict=True))
    assert math.isnan(value) if not weight else value == pytest.approx(won / weight, abs=1e-12)


def test_bootstrap_leaves_out_resamples_of_one_class():
    low, high = bootstrap_interval(auroc, [0.1, 0.9], [0, 1])
    assert (low, high) == (1.0, 1.0)


def test_bootstrap_refuses_an_unknown_metric():
    with pytest.raises(ValueError, match="auroc"):
        bootstrap_interval(max, [0.5], [1])


@settings(max_examples=30)
@given(answers)
def test_intervals_are_ordered(pairs):
    low, high = bootstrap_interval(
        expected_calibration_error, *zip(*pairs, strict=True), n_resamples=50
    )
    assert 0 <= low <= high <= 1


def test_the_ece_is_that_of_the_training_curves():
    assert expected_calibration_error is reward_fns.calibration.expected_calibration_error
    assert reliability_bins is reward_fns.calibration.reliability_bins
