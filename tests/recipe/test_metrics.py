"""Training curves from what the reward returned."""

import pytest

from recipe.difficulty_calib.metrics import training_curves


def rollout(**changes: float) -> dict[str, float]:
    values = dict(
        score=1.0,
        acc=1.0,
        confidence=0.5,
        factuality=0.5,
        alignment=0.5,
        consistency=0.25,
        penalty=-0.25,
    )
    return values | dict(well_formed=1.0, n_claims=1.0, n_sure=1.0, expert_failed=0.0) | changes


def test_parts_and_shares_are_means_over_rollouts():
    curves = training_curves(
        [rollout(), rollout(score=0.0, factuality=0.0, well_formed=0.0, n_claims=3.0)]
    )
    assert curves["response/sure"] == 0.5  # 2 of 4 claims
    assert curves["reward/total/mean"] == 0.5
    assert curves["reward/factuality/mean"] == 0.25
    assert curves["response/well_formed"] == 0.5
    assert curves["response/n_claims/mean"] == 2.0


def test_a_failed_expert_counts_as_failed_and_in_no_mean():
    curves = training_curves([rollout(acc=1.0), rollout(acc=0.0, score=0.0, expert_failed=1.0)])
    assert curves["expert/failed"] == 0.5
    assert curves["expert/acc"] == 1.0
    assert curves["reward/total/mean"] == 1.0


def test_confidence_curves_leave_out_responses_without_one():
    # Stated: 1.0 (right) and 0.5 (wrong). Brier ((1-1)^2 + 0.5^2) / 2 = 0.125;
    # overconfidence 0.75 - 0.5.
    curves = training_curves(
        [rollout(confidence=1.0), rollout(confidence=0.5, acc=0.0), rollout(confidence=-1.0)]
    )
    assert curves["confidence/mean"] == 0.75
    assert curves["confidence/at_0_or_1"] == 0.5
    assert curves["confidence/entropy"] == pytest.approx(0.6931, abs=1e-4)  # ln 2
    assert curves["confidence/brier"] == pytest.approx(0.125)
    assert curves["confidence/overconfidence"] == pytest.approx(0.25)


def test_calibration_error_of_the_step_by_hand():
    # Bin 9 holds 0.9 (right) and 0.9 (wrong): |1/2 - 0.9| = 0.4; bin 2 holds 0.2 (half right):
    # |0.5 - 0.2| = 0.3. Two and one of three: (2 * 0.4 + 0.3) / 3.
    # A failed expert and a missing confidence count in neither.
    stated = [
        rollout(confidence=0.9),
        rollout(confidence=0.9, acc=0.0),
        rollout(confidence=0.2, acc=0.5),
    ]
    others = [
        rollout(confidence=-1.0, acc=0.0),
        rollout(confidence=0.0, acc=1.0, expert_failed=1.0),
    ]
    assert training_curves(stated + others)["confidence/ece"] == pytest.approx(1.1 / 3)


def test_no_stated_confidence_gives_no_confidence_curve():
    assert not [
        name
        for name in training_curves([rollout(confidence=-1.0)])
        if name.startswith("confidence/")
    ]
