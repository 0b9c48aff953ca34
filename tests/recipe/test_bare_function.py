"""The bare reward function in a real run of verl's own trainer and reward manager."""

import sys

import pytest

pytestmark = pytest.mark.timeout(1200)


def test_a_dataset_without_coefficients_ends_a_stock_run_with_the_remedy(
    tmp_path, pocket_data, pocket_model, run_on_cpu
):
    command = [sys.executable, "-m", "verl.trainer.main_ppo"]
    command += ["--config-path", "pkg://recipe.difficulty_calib.config", "--config-name", "pocket"]
    command += [
        "reward.reward_manager.name=naive",
        "trainer.v1.trainer_mode=sync",
        "~trainer.v1.difficulty_guided",
        # Of the paper's datasets, so that no pocket dataset has any.
        "reward.custom_reward_function.reward_kwargs.coefficients=table4",
        f"data.train_files={pocket_data / 'rl_train.parquet'}",
        f"data.val_files={pocket_data / 'test.parquet'}",
        "data.train_batch_size=4",
        f"actor_rollout_ref.model.path={pocket_model}",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=32",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=32",
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=32",
        "algorithm.filter_groups.enable=false",
        f"trainer.default_local_dir={tmp_path / 'checkpoints'}",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        "trainer.logger=[console]",
        f"hydra.run.dir={tmp_path}",
    ]
    code, log = run_on_cpu(command)
    assert code != 0, log[-4000:]
    assert "no coefficients for dataset 'pocket-" in log, log[-4000:]
    assert "set default_coefficients" in log
    assert "no materializable trajectories" in log, log[-4000:]
