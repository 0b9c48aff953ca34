"""Models and data of the recipe's tests: the shipped pocket model, a few drawn questions."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

POCKET_MODEL = Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model"


@pytest.fixture(scope="session")
def run_on_cpu() -> Callable[[list[str]], tuple[int, str]]:
    """Runs a command with what verl needs in its environment on a CPU; gives the exit code and all that it printed."""
    environment = os.environ | {
        "VERL_USE_EXTERNAL_MODULES": "recipe.difficulty_calib.plugin",
        "VERL_PLATFORM": "cpu",
        "VERL_ENGINE_DEVICE": "cuda",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "HYDRA_FULL_ERROR": "1",
    }

    def run(command: list[str]) -> tuple[int, str]:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def pocket_model() -> Path:
    return POCKET_MODEL


@pytest.fixture(scope="session")
def pocket_data(tmp_path_factory) -> Path:
    """Directory with rl_train.parquet, test.parquet and sft_questions.parquet, 20 questions each; coefficients.yaml."""
    from data_prep.pocket import data
    from reward_fns.difficulty import coefficients, save_coefficients

    folder = tmp_path_factory.mktemp("pocket")
    data.write(folder, 0, {"rl_train": 20, "test": 20, "sft_questions": 20})
    save_coefficients(
        folder / "coefficients.yaml", dict.fromkeys(data.DATASETS, coefficients("VQAv2"))
    )
    return folder
