"""Which checkpoint is chosen, kept and exported, and when a training ends by itself."""

import json

import numpy as np
import pytest

from data_prep.engines.verl_checkpoint import kept_checkpoint, saved_steps
from recipe.difficulty_calib import selection
from recipe.difficulty_calib.selection import Selection, Validation, measure, overrides


def answer(question, confidence, acc, failed=0.0):
    return {
        "question_id": question,
        "confidence": confidence,
        "acc": acc,
        "expert_failed": failed,
    }


def test_a_validation_by_hand():
    validation = measure(
        [
            answer("a", 0.8, 1.0),  # 0.04
            answer("a", 0.4, 0.0),  # 0.16, so question a has 0.1
            answer("b", -1.0, 1.0),  # unreadable: 1
            answer("c", 0.5, 0.0, failed=1.0),  # no verdict: left out
        ]
    )
    assert validation.losses == pytest.approx({"a": 0.1, "b": 1.0})
    curves = validation.curves
    assert curves["selection/brier"] == pytest.approx(0.55)
    assert curves["selection/accuracy"] == pytest.approx(2 / 3)
    assert curves["selection/unreadable"] == pytest.approx(1 / 3)
    assert curves["selection/n"] == 2
    # Of 0.8 (right) and 0.4 (wrong), each alone in its bin: (0.2^2 + 0.4^2) / 2; var(1, 0) twice.
    assert curves["selection/reliability"] == pytest.approx(0.1)
    assert curves["selection/resolution"] == pytest.approx(0.25)
    assert curves["selection/uncertainty"] == pytest.approx(0.25)


def test_without_verdicts_or_questions_there_is_no_validation():
    assert measure([answer("a", 0.5, 0.0, failed=1.0), answer("", 0.5, 1.0)]) is None
    assert measure([{"reward": 1.0}]) is None  # another reward function's


def test_worse_is_beyond_one_standard_error_of_the_paired_difference():
    base = {str(i): i / 10 for i in range(4)}
    # Differences 0.1, 0.3, 0.1, 0.3: mean 0.2, standard error sqrt(0.04 / 3 / 4) = 0.0577.
    worse = {key: value + (0.1, 0.3)[int(key) % 2] for key, value in base.items()}
    assert selection.is_worse(worse, base) and not selection.is_worse(base, worse)
    # Differences 0.4, -0.2, 0.4, -0.2: mean 0.1, standard error sqrt(0.36 / 3 / 4) = 0.173.
    noise = {key: value + (0.4, -0.2)[int(key) % 2] for key, value in base.items()}
    assert not selection.is_worse(noise, base)
    assert not selection.is_worse({"x": 1.0}, base), "no question in common"


def losses(mean, spread=0.02, n=100):
    """Of n questions, with this mean and the same questions' noise."""
    return {str(i): mean + spread * (-1) ** i for i in range(n)}


@pytest.fixture
def training(tmp_path):
    """Validates steps in order, each with a checkpoint; (step, losses) pairs."""

    def run(*validations, newest=None, resumed=None):
        chosen = (
            Selection(tmp_path) if resumed is None else Selection.resumed(tmp_path, step=resumed)
        )
        for step, found in validations:
            if step:
                actor = tmp_path / f"global_step_{step}" / "actor"
                (actor / "huggingface").mkdir(parents=True)
                (actor / "model_world_size_1_rank_0.pt").touch()
                (tmp_path / "latest_checkpointed_iteration.txt").write_text(str(step))
            chosen.add(step, Validation(found, {}))
            if newest:
                chosen.prune(newest, before=step + 1)
        return chosen

    return run


def test_the_latest_is_chosen_while_none_before_was_better(training, tmp_path):
    chosen = training((0, losses(0.1)), (8, losses(0.2)), (16, losses(0.15)), (24, losses(0.15)))
    assert chosen.chosen == 24 and chosen.since_chosen() == 0
    assert kept_checkpoint(tmp_path) == tmp_path / "global_step_24" / "actor"


def test_an_earlier_one_is_chosen_where_the_later_are_worse_beyond_noise(training, tmp_path):
    chosen = training((8, losses(0.15)), (16, losses(0.2)), (24, losses(0.3)))
    assert chosen.chosen == 8 and chosen.since_chosen() == 2
    assert kept_checkpoint(tmp_path) == tmp_path / "global_step_8" / "actor"
    # As it is named, whatever was chosen.
    named = tmp_path / "global_step_24"
    assert kept_checkpoint(named) == named / "actor"


def test_a_difference_within_noise_does_not_count(training):
    noisy = {key: value + (-1) ** (int(key) // 2) for key, value in losses(0.16).items()}
    assert training((8, losses(0.15)), (16, noisy)).chosen == 16


def test_the_chosen_checkpoint_is_never_deleted_and_the_newest_are_kept(training, tmp_path):
    better, worse = losses(0.15), losses(0.3)
    training((8, worse), (16, better), (24, worse), (32, worse), (40, worse), newest=2)
    assert saved_steps(tmp_path) == [16, 32, 40]


def test_before_another_is_written_the_oldest_goes(training, tmp_path):
    chosen = training((8, losses(0.15)), (16, losses(0.3)), (24, losses(0.3)))
    chosen.prune(1, before=32)
    assert saved_steps(tmp_path) == [8, 24]
    # What is being written now, and of another training in the folder, is not looked at.
    chosen.prune(0, before=24)
    assert saved_steps(tmp_path) == [8, 24]
    chosen.prune(0, before=25)
    assert saved_steps(tmp_path) == [8]


def test_slow_decay_is_held_against_the_best_ever(training, tmp_path):
    # Each is within noise of the one before it. The best, deleted by then, is the measure.
    noise = {str(i): 0.2 * (-1) ** (i // 2) for i in range(100)}  # standard error 0.02
    steps = [(0.150, 8), (0.165, 16), (0.180, 24), (0.195, 32)]
    rows = [
        (step, {key: mean + noise[key] * (step // 8 % 2) for key in noise}) for mean, step in steps
    ]
    chosen = training(*rows, newest=1)
    assert 8 not in saved_steps(tmp_path)
    assert chosen.chosen == 16


def test_a_resumed_training_knows_what_was_found_up_to_its_step(training, tmp_path):
    training((8, losses(0.15)), (16, losses(0.3)))
    again = Selection.resumed(tmp_path, step=8)
    assert again.chosen == 8 and again.since_chosen() == 0
    assert Selection.resumed(tmp_path / "nothing", step=8).chosen is None
    told = json.loads((tmp_path / "selection.json").read_text())
    assert told["chosen"] == 8 and told["brier"] == pytest.approx({"8": 0.15, "16": 0.3})


def test_keys_of_a_training_with_questions_and_without(pocket_data, tmp_path):
    keys = overrides(pocket_data / "selection.parquet", tmp_path / "test.parquet")
    assert keys == [
        f"data.val_files='{pocket_data}/selection.parquet'",
        "trainer.test_freq=${trainer.save_freq}",
        "trainer.val_before_train=true",
    ]
    missing = overrides(tmp_path / "selection.parquet", tmp_path / "test.parquet")
    assert missing == [f"data.val_files='{tmp_path}/test.parquet'", "trainer.test_freq=-1"]


def test_the_rule_keeps_the_last_as_often_as_one_standard_error_says():
    # Equal checkpoints: the last is worse than the first by more than one standard error in 16 %.
    rng = np.random.default_rng(0)
    trials = 400
    worse = 0
    for _ in range(trials):
        first, last = ({str(i): x for i, x in enumerate(rng.normal(size=50))} for _ in range(2))
        worse += selection.is_worse(last, first)
    # Binomial(400, 0.159): mean 63.5, standard deviation 7.3; Student's t widens it a little.
    assert 40 <= worse <= 90
