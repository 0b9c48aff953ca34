"""Short GRPO runs through real verl, Ray and vLLM: the errors that must end one, and another architecture."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.difficulty_calib.progress import step_line

pytestmark = pytest.mark.timeout(1200)

ENVIRONMENT = os.environ | {
    "VERL_USE_EXTERNAL_MODULES": "recipe.difficulty_calib.plugin",
    "VERL_PLATFORM": "cpu",
    "VERL_ENGINE_DEVICE": "cuda",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "HYDRA_FULL_ERROR": "1",
}


def train(tmp_path: Path, data: Path, model: Path, *overrides: str) -> tuple[int, str]:
    """Exit code and log of two GRPO steps of four prompts."""
    command = [sys.executable, "-m", "recipe.difficulty_calib.train", "--config-name", "pocket"]
    command += [f"data.train_files={data / 'rl_train.parquet'}", f"data.val_files={data / 'test.parquet'}"]
    command += [f"reward.custom_reward_function.reward_kwargs.coefficients_file={data / 'coefficients.yaml'}"]
    command += [f"actor_rollout_ref.model.path={model}", f"trainer.default_local_dir={tmp_path / 'checkpoints'}"]
    command += ["trainer.total_training_steps=2", "trainer.save_freq=-1", "trainer.logger=[console]"]
    command += ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
    command += ["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=32", f"hydra.run.dir={tmp_path}"]
    command += [f"actor_rollout_ref.{part}.log_prob_micro_batch_size_per_gpu=32" for part in ("rollout", "ref")]
    done = subprocess.run([*command, *overrides], env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    return done.returncode, done.stdout + done.stderr


def test_dynamic_sampling_ends_with_an_error_when_all_groups_tie(tmp_path, pocket_data, pocket_model):
    # No expert fails here, so every group ties on this metric.
    code, log = train(
        tmp_path,
        pocket_data,
        pocket_model,
        "algorithm.filter_groups.metric=expert_failed",
        "algorithm.filter_groups.max_num_gen_batches=3",
    )
    assert code != 0
    assert "DynamicSamplingError" in log and "had answers that differ in 'expert_failed'" in log


def test_an_expert_that_is_down_ends_the_run_with_an_error(tmp_path, pocket_data, pocket_model):
    # Nothing listens on port 9: every call is refused.
    expert = "{kind: openai, model: judge, base_url: 'http://127.0.0.1:9/v1', max_retries: 0, api_key_env: PATH}"
    code, log = train(
        tmp_path,
        pocket_data,
        pocket_model,
        f"reward.custom_reward_function.reward_kwargs.expert={expert}",
        "algorithm.filter_groups.enable=false",
    )
    assert code != 0
    assert "ExpertFailureError" in log and "gave no verdict for" in log


def test_another_architecture_trains_by_naming_its_overlay(tmp_path, pocket_data, tiny_qwen):
    # A random model states nothing readable: no dynamic sampling, the malformed floor is its reward.
    code, log = train(
        tmp_path,
        pocket_data,
        tiny_qwen,
        "vlm=qwen2_5_vl",
        "algorithm.filter_groups.enable=false",
        "data.max_response_length=16",
    )
    assert code == 0, log[-3000:]
    steps = [reported[0] for line in log.splitlines() if (reported := step_line(line))]
    assert steps == [1, 2]
