"""Models and data of the recipe's tests: the shipped pocket model, a few drawn questions."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import watched_run

POCKET_MODEL = Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model"


@pytest.fixture(scope="session")
def run_on_cpu(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], tuple[int, str]]:
    """Runs a command with what verl needs in its environment on a CPU;
    gives the exit code and all that it printed.

    Whatever comes of it: none of its processes listened to the network, and of a run of ours no
    file in /tmp and no segment in /dev/shm is left
    (Ray's logs stay, and torch's cache of compiled code).
    """
    environment = os.environ | {
        "VERL_USE_EXTERNAL_MODULES": "recipe.difficulty_calib.plugin",
        "VERL_PLATFORM": "cpu",
        "VERL_ENGINE_DEVICE": "cuda",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HYDRA_FULL_ERROR": "1",
        # Else each run, in its own TMPDIR, would ask the C++ compiler what this CPU can do.
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path_factory.mktemp("inductor")),
    }

    def run(command: list[str]) -> tuple[int, str]:
        own = Path(tempfile.mkdtemp(prefix="g"))  # short, for the paths of Ray's sockets
        code, log, watch = watched_run.run(command, environment | {"TMPDIR": str(own)}, 900)
        assert watch.open_to_the_network == {}, log[-3000:]
        left = [path for prefix in watch.prefixes for path in Path("/dev/shm").glob(f"{prefix}*")]
        if watch.prefixes:  # else verl's own entry point was run
            left += [p for p in own.iterdir() if not p.name.startswith("ray")]
            assert left == []
        shutil.rmtree(own)
        return code, log

    return run


@pytest.fixture(scope="session")
def pocket_model() -> Path:
    return POCKET_MODEL


@pytest.fixture(scope="session")
def pocket_data(tmp_path_factory) -> Path:
    """Directory with the pocket's four files, 20 questions each, and coefficients.yaml."""
    from data_prep.pocket import data
    from reward_fns.difficulty import coefficients, save_coefficients

    folder = tmp_path_factory.mktemp("pocket")
    data.write(folder, 0, dict.fromkeys(data.SPLITS, 20))
    save_coefficients(
        folder / "coefficients.yaml", dict.fromkeys(data.DATASETS, coefficients("VQAv2"))
    )
    return folder
