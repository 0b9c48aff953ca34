"""Short GRPO runs through real verl, Ray and vLLM: the errors that must end one,
and another architecture.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recipe.difficulty_calib.progress import step_line

pytestmark = pytest.mark.timeout(1200)

Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(tmp_path, pocket_data, run_on_cpu) -> Train:
    """Takes a model and Hydra overrides; gives the exit code and log of two GRPO
    steps of four prompts.
    """

    def run(model: Path, *overrides: str) -> tuple[int, str]:
        coefficients = pocket_data / "coefficients.yaml"
        command = [sys.executable, "-m", "recipe.difficulty_calib.train", "--config-name", "pocket"]
        command += [f"data.train_files={pocket_data / 'rl_train.parquet'}"]
        command += [f"data.val_files={pocket_data / 'test.parquet'}"]
        command += [f"reward.custom_reward_function.reward_kwargs.coefficients={coefficients}"]
        command += [
            f"actor_rollout_ref.model.path={model}",
            f"trainer.default_local_dir={tmp_path / 'checkpoints'}",
        ]
        command += [
            "trainer.total_training_steps=2",
            "trainer.save_freq=-1",
            "trainer.logger=[console]",
        ]
        command += ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
        command += [
            "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=32",
            f"hydra.run.dir={tmp_path}",
        ]
        command += [
            f"actor_rollout_ref.{part}.log_prob_micro_batch_size_per_gpu=32"
            for part in ("rollout", "ref")
        ]
        return run_on_cpu([*command, *overrides])

    return run


def test_dynamic_sampling_ends_with_an_error_when_all_groups_tie(train, pocket_model):
    # No expert fails here, so every group ties on this metric.
    code, log = train(
        pocket_model,
        "algorithm.filter_groups.metric=expert_failed",
        "algorithm.filter_groups.max_num_gen_batches=3",
    )
    assert code != 0
    assert "DynamicSamplingError" in log and "had answers that differ in 'expert_failed'" in log


def test_another_architecture_trains_by_naming_its_overlay(train, tiny_qwen):
    # A random model states nothing readable: no dynamic sampling,
    # the malformed floor is its reward.
    code, log = train(
        tiny_qwen,
        "vlm=qwen2_5_vl",
        "algorithm.filter_groups.enable=false",
        "data.max_response_length=16",
    )
    assert code == 0, log[-3000:]
    steps = [reported[0] for line in log.splitlines() if (reported := step_line(line))]
    assert steps == [1, 2]
