"""ECE and bins against hand arithmetic, the definition in loops,
and torchmetrics where definitions agree.
"""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error

from reward_fns.calibration import expected_calibration_error, reliability_bins

answers = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1), st.sampled_from([k / 10 for k in range(11)])),
        st.sampled_from([0, 1, 0.25]),
    ),
    min_size=1,
    max_size=40,
)


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
    # one bin with 0.95 and 1.0: |1/2 - 0.975|;
    # two bins would give (|1 - 0.95| + |0 - 1|) / 2 = 0.525
    assert expected_calibration_error([0.95, 1.0], [1, 0]) == pytest.approx(0.475)


def test_ece_by_hand():
    # bin 0: {0.0 wrong, 0.05 right}, |1 - 0.05| = 0.95; bin 3:
    # {0.3 right, 0.35 wrong}, |1 - 0.65| = 0.35; bin 9: {1.0 right}, 0.
    # Sum of bin gaps times counts over n = (0.95 + 0.35 + 0) / 5
    assert expected_calibration_error(
        [0.0, 0.05, 0.3, 0.35, 1.0], [0, 1, 1, 0, 1]
    ) == pytest.approx(1.30 / 5)


def test_fewer_than_one_bin_is_refused():
    with pytest.raises(ValueError, match="n_bins"):
        expected_calibration_error([0.5], [1], n_bins=0)


def test_bins_of_the_diagram_by_hand():
    bins = reliability_bins([0.0, 0.3, 0.3, 1.0], [0, 1, 0, 1])
    assert bins.count.tolist() == [1, 0, 0, 2, 0, 0, 0, 0, 0, 1]
    assert bins.mean_correct[3] == 0.5 and bins.mean_confidence[9] == 1.0
    assert np.isnan(bins.mean_correct[1])


@given(answers, st.integers(1, 20))
def test_ece_equals_the_definition_in_loops(pairs, n_bins):
    total = 0.0
    for k in range(n_bins):
        inside = [
            (c, y)
            for c, y in pairs
            if c >= k / n_bins and (c < (k + 1) / n_bins or (k == n_bins - 1 and c == 1))
        ]
        total += abs(sum(y - c for c, y in inside))
    assert expected_calibration_error(*zip(*pairs, strict=True), n_bins) == pytest.approx(
        total / len(pairs), abs=1e-12
    )


@pytest.mark.parametrize("seed", range(5))
def test_ece_equals_torchmetrics_inside_the_bins(seed):
    # Below 1.0 alone: torchmetrics 1.9 gives 1.0 a bin of its own.
    rng = np.random.default_rng(seed)
    confidence = ((rng.integers(0, 10, 500) + rng.uniform(0.05, 0.95, 500)) / 10).astype(np.float32)
    correct = rng.integers(0, 2, 500)
    # its binary ECE compares the mean of p(class 1) in a bin with the share of class 1,
    # which is our ECE
    expected = binary_calibration_error(
        torch.tensor(confidence), torch.tensor(correct), n_bins=10, norm="l1"
    )
    assert expected_calibration_error(confidence, correct) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_torchmetrics_splits_the_last_bin_and_we_do_not():
    confidence, correct = [0.95, 1.0], [1, 0]
    theirs = float(
        binary_calibration_error(
            torch.tensor(confidence), torch.tensor(correct), n_bins=10, norm="l1"
        )
    )
    assert theirs == pytest.approx((0.05 + 1.0) / 2)  # 0.95 and 1.0 apart
    assert expected_calibration_error(confidence, correct) == pytest.approx(
        abs(0.5 - 0.975)
    )  # together


def test_graded_verdicts_by_hand():
    # both in bin 5: |(0.5 + 1.0) / 2 - (0.5 + 0.55) / 2| = 0.225
    assert expected_calibration_error([0.5, 0.55], [0.5, 1.0]) == pytest.approx(0.225)


def test_no_answers_give_nan_and_empty_bins():
    assert math.isnan(expected_calibration_error([], []))
    assert reliability_bins([], []).count.tolist() == [0] * 10


@pytest.mark.parametrize("function", [expected_calibration_error, reliability_bins])
@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.5], [1, 0], "one shape"),
        ([[0.5]], [[1]], "one shape"),
        ([0.5, 1.1], [1, 1], r"confidence must lie in \[0, 1\], got 1.1 at position 1"),
        ([math.nan], [1], "confidence must lie"),
        ([0.5], [-1], "correct must lie"),
    ],
)
def test_unusable_values_are_refused(function, confidence, correct, message):
    with pytest.raises(ValueError, match=message):
        function(confidence, correct)


def test_the_leaf_needs_numpy_only():
    code = (
        "import sys; sys.modules.update(sklearn=None, scipy=None, torch=None); "
        "import reward_fns.calibration"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, timeout=120
    )
