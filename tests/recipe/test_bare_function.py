"""The bare reward function in a real run of verl's own trainer and reward manager."""

import sys

import pytest

pytestmark = pytest.mark.timeout(1200)

KWARGS = "reward.custom_reward_function.reward_kwargs"


@pytest.fixture
def stock_run(tmp_path, pocket_data, pocket_model, run_on_cpu):
    """Takes Hydra overrides; gives the exit code and log of two GRPO steps of four prompts."""

    def run(*overrides):
        command = [sys.executable, "-m", "verl.trainer.main_ppo", "--config-name", "pocket"]
        command += ["--config-path", "pkg://recipe.difficulty_calib.config"]
        command += ["reward.reward_manager.name=naive", "trainer.v1.trainer_mode=sync"]
        command += ["~trainer.v1.difficulty_guided", "algorithm.filter_groups.enable=false"]
        command += [f"data.train_files={pocket_data / 'rl_train.parquet'}"]
        command += [f"data.val_files={pocket_data / 'test.parquet'}", "data.train_batch_size=4"]
        actor = "actor_rollout_ref.actor"
        command += [f"{actor}.ppo_mini_batch_size=4", f"{actor}.ppo_micro_batch_size_per_gpu=32"]
        command += [
            f"actor_rollout_ref.{part}.log_prob_micro_batch_size_per_gpu=32"
            for part in ("rollout", "ref")
        ]
        command += [f"actor_rollout_ref.model.path={pocket_model}"]
        command += ["trainer.total_training_steps=2", "trainer.save_freq=-1"]
        command += ["trainer.logger=[console]", f"hydra.run.dir={tmp_path}"]
        command += [f"trainer.default_local_dir={tmp_path / 'checkpoints'}"]
        return run_on_cpu([*command, *overrides])

    return run


def test_a_dataset_without_coefficients_ends_a_stock_run_with_the_remedy(stock_run):
    # Those of the paper's datasets, so that no pocket dataset has any.
    code, log = stock_run(f"{KWARGS}.coefficients=table4")
    assert code != 0, log[-4000:]
    assert "no coefficients for dataset 'pocket-" in log, log[-4000:]
    assert "set default_coefficients" in log
    assert "no materializable trajectories" in log, log[-4000:]
