"""Actor updates of the pocket model by verl's own worker: two processes of FSDP2 over gloo against one.

    python -m pytest tests/benchmarks/test_fsdp2.py

A minute on two idle cores, most of it imports.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.pocket import data

pytestmark = pytest.mark.timeout(900)

SCRIPT = Path(__file__).parent / "fsdp2_update.py"
MODEL = SCRIPT.parents[2] / "data_prep" / "pocket" / "base_model"
COMPARED = ("loss", "grad_norm", "actor/pg_loss", "kl_loss", "actor/ppo_kl", "actor/pg_clipfrac")
CPU = {
    "VERL_USE_EXTERNAL_MODULES": "recipe.difficulty_calib.plugin",
    "VERL_PLATFORM": "cpu",
    "VERL_ENGINE_DEVICE": "cuda",
    "GLOO_SOCKET_IFNAME": "lo",
}

Reports = list[dict[str, list[float]]]


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """Takes a number of processes and Hydra overrides; gives what each update reported."""
    folder = tmp_path_factory.mktemp("fsdp2")
    data.write(folder, 0, {"rl_train": 8})

    def run(processes: int, *overrides: str) -> Reports:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc_per_node={processes}", str(SCRIPT), str(MODEL)]
        command += [str(folder / "rl_train.parquet"), str(folder / "out.json"), *overrides]
        done = subprocess.run(command, env=os.environ | CPU, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        reports: Reports = json.loads((folder / "out.json").read_text())
        return reports

    return run


@pytest.fixture(scope="module")
def of_one(updated) -> Reports:
    return updated(1)


def assert_same(reports: Reports, expected: Reports) -> None:
    assert len(reports) == len(expected) == 3
    assert expected[1]["kl_loss"][0] > 0.1  # the updates have moved the policy
    for ours, theirs in zip(reports, expected, strict=True):
        for name in COMPARED:  # measured: 1.3e-6 apart after two updates
            assert ours[name] == pytest.approx(theirs[name], rel=2e-5, abs=1e-6), name


def test_two_devices_make_the_updates_of_one(updated, of_one):
    assert_same(updated(2), of_one)


def test_packed_rows_make_the_updates_of_padded_ones(updated, of_one):
    # With sdpa: transformers finds the rows by their positions, and masks each from the others.
    assert_same(updated(1, "actor_rollout_ref.model.use_remove_padding=true"), of_one)
