"""Alarms: each rings on a policy that collapses its way, and none on trainings that went well."""

import json

import pytest

from recipe.difficulty_calib.alarms import BOUNDS, WINDOW, Alarms

# Means over five steps in the main job on seed 0 (outputs/pocket-seed0/curves: 24 steps of `paper`,
# 13 of `segments`): the one nearest to its bound, or where that is a factor, the one at the start.
SOUND = {
    "confidence/entropy": 2.19,
    "confidence/at_0_or_1": 0.26,
    "response/sure": 0.355,
    "response/well_formed": 0.963,
    "response/n_claims/mean": 1.6,
    "response_length/mean": 28.0,
    "expert/acc": 0.45,
}


def ringing(curves):
    return {name.removeprefix("alarm/") for name, value in curves.items() if value}


@pytest.fixture
def alarms(tmp_path):
    return Alarms(tmp_path / "alarms.json", resumed=False)


def after(alarms, changes, steps=WINDOW, first=WINDOW):
    """What rings after `first` sound steps and `steps` with changed metrics."""
    curves = {}
    for step in range(first + steps):
        curves = alarms.see(step, SOUND | (changes if step >= first else {}))
    return ringing(curves)


def test_a_sound_training_rings_nothing(alarms, capsys):
    assert after(alarms, {"response/n_claims/mean": 2.0, "response_length/mean": 35.0}) == set()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("metric", "value", "name"),
    [
        ("confidence/entropy", 0.5, "numbers"),
        ("confidence/at_0_or_1", 0.9, "ends"),
        ("response/sure", 1.0, "sure"),
        ("response/sure", 0.0, "sure"),
        ("response/well_formed", 0.5, "malformed"),
        ("response/n_claims/mean", 0.6, "claims"),  # of 1.6
        ("response/n_claims/mean", 3.5, "claims"),
        ("response_length/mean", 60.0, "length"),  # of 28
        ("expert/acc", 0.3, "accuracy"),  # of 0.45
    ],
)
def test_each_collapse_rings_its_alarm_alone(alarms, capsys, metric, value, name):
    assert after(alarms, {metric: value}) == {name}
    said = capsys.readouterr().out
    assert said.startswith(f"ALARM {name}: step ") and f"{metric} is " in said


def test_every_alarm_has_a_case_above():
    cases = test_each_collapse_rings_its_alarm_alone.pytestmark[0].args[1]
    assert {name for *_, name in cases} == BOUNDS.keys()


def test_one_step_rings_nothing_and_an_alarm_is_told_once(alarms, capsys):
    assert after(alarms, {"confidence/at_0_or_1": 1.0}, steps=1) == set()
    for step in range(WINDOW, 4 * WINDOW):
        curves = alarms.see(step, SOUND | {"confidence/at_0_or_1": 1.0})
    assert ringing(curves) == {"ends"}
    # Of a window 0.26, 1, 1, 1, ... the mean first passes 0.7 with three of five: 0.704.
    said = capsys.readouterr().out
    assert said.count("ALARM") == 1
    assert f"step {WINDOW + 1}, confidence/at_0_or_1 is 0.704, above 0.7" in said


def test_a_metric_that_is_missing_leaves_its_alarm_as_it_was(alarms):
    after(alarms, {"confidence/at_0_or_1": 1.0})
    rest = {name: value for name, value in SOUND.items() if name != "confidence/at_0_or_1"}
    assert ringing(alarms.see(99, rest)) == {"ends"}


def test_a_resumed_training_is_held_against_its_own_start(alarms, tmp_path):
    after(alarms, {})
    resumed = Alarms(tmp_path / "alarms.json", resumed=True)
    low = SOUND | {"expert/acc": 0.3}
    for step in range(WINDOW):
        curves = resumed.see(step, low)
    assert ringing(curves) == {"accuracy"}
    # Trained anew in the same folder, the low accuracy is the start.
    anew = Alarms(tmp_path / "alarms.json", resumed=False)
    for step in range(WINDOW):
        curves = anew.see(step, low)
    assert ringing(curves) == set()
    assert json.loads((tmp_path / "alarms.json").read_text())["start"]["expert/acc"] == 0.3
