"""Metrics against hand arithmetic, a plain reference written out in loops, and torchmetrics where definitions agree."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error

from eval.metrics import auroc, bootstrap_interval, brier_score, expected_calibration_error, reliability_bins

METRICS = [expected_calibration_error, auroc, brier_score]


def one_bin_of(value, n_bins=10, dtype=np.float64):
    return int(reliability_bins(np.array([value], dtype=dtype), [1], n_bins).count.argmax())


@pytest.mark.parametrize("k", range(10))
def test_grid_value_opens_its_bin(k):
    assert one_bin_of(k / 10) == k
    assert one_bin_of(0.1 * k) == k  # 0.1 * 3 = 0.30000000000000004
    assert one_bin_of(np.linspace(0, 1, 11)[k]) == k
    assert one_bin_of(k / 10, dtype=np.float32) == k  # float32(0.7) < 0.7
    assert one_bin_of(k / 10, dtype=np.float16) == k


@pytest.mark.parametrize("n_bins", [1, 2, 7, 15, 49, 100])
def test_grid_value_opens_its_bin_for_any_number_of_bins(n_bins):
    assert [one_bin_of(k / n_bins, n_bins) for k in range(n_bins)] == list(range(n_bins))


def test_value_just_below_an_edge_stays_below():
    assert one_bin_of(np.nextafter(0.3, 0)) == 2
    assert one_bin_of(1 - 0.9) == 0  # 0.09999999999999998


def test_confidence_one_falls_in_the_last_bin():
    assert one_bin_of(1.0) == 9
    # one bin with 0.95 and 1.0: |1/2 - 0.975|; two bins would give (|1 - 0.95| + |0 - 1|) / 2 = 0.525
    assert expected_calibration_error([0.95, 1.0], [1, 0]) == pytest.approx(0.475)


def test_ece_by_hand():
    # bin 0: {0.0 wrong, 0.05 right}, |1 - 0.05| = 0.95; bin 3: {0.3 right, 0.35 wrong}, |1 - 0.65| = 0.35;
    # bin 9: {1.0 right}, 0. Sum of bin gaps times counts over n = (0.95 + 0.35 + 0) / 5
    assert expected_calibration_error([0.0, 0.05, 0.3, 0.35, 1.0], [0, 1, 1, 0, 1]) == pytest.approx(1.30 / 5)


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


def test_fewer_than_one_bin_is_refused():
    with pytest.raises(ValueError, match="n_bins"):
        expected_calibration_error([0.5], [1], n_bins=0)


def test_bins_of_the_diagram_by_hand():
    bins = reliability_bins([0.0, 0.3, 0.3, 1.0], [0, 1, 0, 1])
    assert bins.count.tolist() == [1, 0, 0, 2, 0, 0, 0, 0, 0, 1]
    assert bins.mean_correct[3] == 0.5 and bins.mean_confidence[9] == 1.0
    assert np.isnan(bins.mean_correct[1])


answers = st.lists(
    st.tuples(st.one_of(st.floats(0, 1), st.sampled_from([k / 10 for k in range(11)])), st.sampled_from([0, 1, 0.25])),
    min_size=1,
    max_size=40,
)


@given(answers, st.integers(1, 20))
def test_ece_equals_the_definition_in_loops(pairs, n_bins):
    total = 0.0
    for k in range(n_bins):
        inside = [
            (c, y) for c, y in pairs if c >= k / n_bins and (c < (k + 1) / n_bins or (k == n_bins - 1 and c == 1))
        ]
        total += abs(sum(y - c for c, y in inside))
    assert expected_calibration_error(*zip(*pairs, strict=True), n_bins) == pytest.approx(total / len(pairs), abs=1e-12)


@given(answers)
def test_auroc_equals_the_definition_in_loops(pairs):
    won = weight = 0.0
    for c, y in pairs:
        for d, z in pairs:
            won += y * (1 - z) * ((c > d) + (c == d) / 2)
            weight += y * (1 - z)
    value = auroc(*zip(*pairs, strict=True))
    assert math.isnan(value) if not weight else value == pytest.approx(won / weight, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_ece_equals_torchmetrics_inside_the_bins(seed):
    # Below 1.0 alone: torchmetrics 1.9 gives 1.0 a bin of its own.
    rng = np.random.default_rng(seed)
    confidence = ((rng.integers(0, 10, 500) + rng.uniform(0.05, 0.95, 500)) / 10).astype(np.float32)
    correct = rng.integers(0, 2, 500)
    # its binary ECE compares the mean of p(class 1) in a bin with the share of class 1, which is our ECE
    expected = binary_calibration_error(torch.tensor(confidence), torch.tensor(correct), n_bins=10, norm="l1")
    assert expected_calibration_error(confidence, correct) == pytest.approx(float(expected), abs=1e-6)


def test_torchmetrics_splits_the_last_bin_and_we_do_not():
    confidence, correct = [0.95, 1.0], [1, 0]
    theirs = float(binary_calibration_error(torch.tensor(confidence), torch.tensor(correct), n_bins=10, norm="l1"))
    assert theirs == pytest.approx((0.05 + 1.0) / 2)  # 0.95 and 1.0 apart
    assert expected_calibration_error(confidence, correct) == pytest.approx(abs(0.5 - 0.975))  # together


def plain_bootstrap(metric, confidence, correct, n_resamples, seed):
    take = np.random.default_rng(seed).integers(0, len(correct), (n_resamples, len(correct)))
    return np.nanpercentile([metric(confidence[row], correct[row]) for row in take], [2.5, 97.5])


@pytest.mark.parametrize("metric", METRICS)
def test_bootstrap_equals_the_metric_on_each_resample(metric):
    rng = np.random.default_rng(3)
    confidence, correct = rng.integers(0, 11, 60) / 10, rng.integers(0, 5, 60) / 4
    expected = plain_bootstrap(metric, confidence, correct, 50, seed=7)
    assert bootstrap_interval(metric, confidence, correct, 50, seed=7) == pytest.approx(tuple(expected), abs=1e-12)


def test_bootstrap_leaves_out_resamples_of_one_class():
    low, high = bootstrap_interval(auroc, [0.1, 0.9], [0, 1])
    assert (low, high) == (1.0, 1.0)


def test_bootstrap_does_not_depend_on_the_batch(monkeypatch):
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(50), rng.integers(0, 2, 50)
    whole = bootstrap_interval(auroc, confidence, correct, 100)
    monkeypatch.setattr("eval.metrics._RESAMPLED_VALUES_PER_BATCH", 700)
    assert bootstrap_interval(auroc, confidence, correct, 100) == whole


def test_bootstrap_refuses_an_unknown_metric():
    with pytest.raises(ValueError, match="auroc"):
        bootstrap_interval(max, [0.5], [1])


@settings(max_examples=30)
@given(answers)
def test_intervals_are_ordered(pairs):
    low, high = bootstrap_interval(expected_calibration_error, *zip(*pairs, strict=True), n_resamples=50)
    assert 0 <= low <= high <= 1
