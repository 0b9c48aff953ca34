"""What a number deserved, against shares counted by hand."""

import numpy as np
import pytest

from recipe.difficulty_calib.verdict_map import VerdictMap


def test_a_number_deserves_the_share_that_was_right():
    numbers = np.repeat([0.2, 0.9], 10)
    targets = np.array([1.0] + [0.0] * 9 + [1.0] * 7 + [0.0] * 3)
    assert VerdictMap()(numbers, targets).tolist() == pytest.approx([0.1] * 10 + [0.7] * 10)


def test_a_higher_number_never_deserves_less():
    # of 0.6 half is right, of 0.7 a quarter: together a third
    numbers = np.array([0.6, 0.6, 0.7, 0.7, 0.7, 0.7])
    targets = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert VerdictMap()(numbers, targets).tolist() == pytest.approx([1 / 3] * 6)


def test_earlier_steps_count_until_the_window_is_full_and_a_step_always_counts_whole():
    verdicts = VerdictMap(window=4)
    half = np.full(4, 0.5)
    verdicts(half, np.ones(4))
    assert verdicts(half[:2], np.zeros(2)).tolist() == pytest.approx([0.5, 0.5])
    assert verdicts(np.full(8, 0.5), np.array([1.0] + [0.0] * 7)).tolist() == pytest.approx(
        [1 / 8] * 8
    )


def test_a_step_without_a_number_teaches_nothing():
    verdicts = VerdictMap()
    assert verdicts(np.empty(0), np.empty(0)).tolist() == []
    assert verdicts(np.array([0.5]), np.array([1.0])).tolist() == [1.0]
