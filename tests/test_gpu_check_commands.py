"""What examples/gpu_check.sh asks for on a GPU:
its trainings' options exist in verl and in our overlays.

The GPU, the set-up and Python are stand-ins; the command lines that they are called with are real.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

ROOT = Path(__file__).resolve().parents[1]
_MADE = (
    "models/base/made.json data/manifest.json data/sft.parquet models/sft/config.json "
    "sft/latest_checkpointed_iteration.txt grpo/latest_checkpointed_iteration.txt "
    "models/rl/adapter_config.json records/rl.dp.jsonl"
)
_PYTHON = f"""#!/usr/bin/env bash
# Writes what it is called with, an argument a line, and makes what the stages would.
[[ "${{@: -1}}" == --attention ]] && echo sdpa && exit
printf '%s\\n' "$@" ==== >>calls.txt
for file in {_MADE}; do
    mkdir -p "outputs/gpu_check/$(dirname "$file")" && touch "outputs/gpu_check/$file"
done
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> list[list[str]]:
    """Arguments of every call of Python in the GPU form."""
    folder = tmp_path_factory.mktemp("gpu check")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "examples/setup.sh").write_text("mkdir -p .venv && echo gpu >.venv/.device\n")
    (folder / "bin").mkdir()
    (folder / "bin/python").write_text(_PYTHON)
    (folder / "bin/python").chmod(0o755)
    (folder / "bin/nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A100 (UUID: GPU-7)'\n")
    (folder / "bin/nvidia-smi").chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    environment |= {"CUDA_VISIBLE_DEVICES": "GPU-7,GPU-8"}
    for name in ("RUN", "PROCESSOR", "SFT_STEPS", "GRPO_STEPS", "LIMIT"):
        environment.pop(name, None)
    script = ["bash", str(folder / "examples/gpu_check.sh")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = (folder / "calls.txt").read_text().split("====\n")
    return [call.splitlines() for call in calls if call]


def _overrides(calls: list[list[str]], module: str) -> tuple[str, list[str]]:
    """Name of the configuration and overrides of the one call of a trainer."""
    (call,) = [call for call in calls if module in call]
    name = call[call.index("--config-name") + 1]
    return name, [item for item in call[call.index("--config-name") + 2 :] if "=" in item]


def _composed(calls, module):
    name, overrides = _overrides(calls, module)
    overrides = [item for item in overrides if not item.startswith("hydra.")]
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        return compose(name, overrides=overrides)


def test_grpo_is_the_7b_profile_in_three_steps(calls):
    config = _composed(calls, "recipe.difficulty_calib.train")
    assert config.trainer.total_training_steps == 3
    assert config.actor_rollout_ref.model.path.endswith("models/sft")
    assert config.actor_rollout_ref.rollout.dtype == "bfloat16"
    assert config.actor_rollout_ref.actor.entropy_coeff > 0  # else no weight moves
    assert config.actor_rollout_ref.model.override_config.attn_implementation == "sdpa"


def test_sft_is_the_7b_profile_in_twenty_steps(calls):
    config = _composed(calls, "recipe.difficulty_calib.sft")
    assert config.trainer.total_training_steps == 20
    assert config.model.path.endswith("models/base")
    assert config.engine.mixed_precision.param_dtype == "bf16"


def test_the_real_shapes_are_made_and_one_card_is_watched(calls):
    (made,) = [call for call in calls if "model" in call and "--shape" in call]
    assert made[made.index("--shape") + 1] == "real"
    (watched,) = [call for call in calls if "memory" in call]
    assert watched[watched.index("--card") + 1] == "GPU-7"
