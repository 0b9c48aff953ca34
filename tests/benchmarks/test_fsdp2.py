"""Actor updates of the pocket model by verl's own worker:
two processes of FSDP2 over gloo against one.

    python -m pytest tests/benchmarks/test_fsdp2.py

Two minutes on two idle cores, most of it imports.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_prep.engines import verl_checkpoint
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
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("fsdp2")
    data.write(made, 0, {"rl_train": 8})
    return made


@pytest.fixture(scope="module")
def updated(folder):
    """Takes a run's name, a number of processes and Hydra overrides;
    gives what each update reported.
    """

    def run(name: str, processes: int, *overrides: str) -> Reports:
        (folder / name).mkdir(exist_ok=True)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc_per_node={processes}", str(SCRIPT), str(MODEL)]
        command += [str(folder / "rl_train.parquet"), str(folder / name), *overrides]
        done = subprocess.run(command, env=os.environ | CPU, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        reports: Reports = json.loads((folder / name / "reports.json").read_text())
        return reports

    return run


@pytest.fixture(scope="module")
def of_one(updated) -> Reports:
    return updated("one", 1)


@pytest.fixture(scope="module")
def of_two(updated) -> Reports:
    return updated("two", 2)


def assert_same(reports: Reports, expected: Reports) -> None:
    assert len(reports) == len(expected)
    assert expected[-1]["kl_loss"][0] > 0.1  # the updates have moved the policy
    for ours, theirs in zip(reports, expected, strict=True):
        for name in COMPARED:  # measured: 1.3e-6 apart after two updates
            assert ours[name] == pytest.approx(theirs[name], rel=2e-5, abs=1e-6), name


def test_two_devices_make_the_updates_of_one(of_two, of_one):
    assert len(of_one) == 3
    assert_same(of_two, of_one)


def test_packed_rows_make_the_updates_of_padded_ones(updated, of_one):
    # With sdpa: transformers finds the rows by their positions, and masks each from the others.
    packed = updated("packed", 1, "actor_rollout_ref.model.use_remove_padding=true")
    assert_same(packed, of_one)


def test_a_checkpoint_of_the_adapter_alone_resumes(updated, of_two):
    assert_same(updated("two", 2), of_two[-1:])


def test_the_adapter_of_two_shards_is_that_of_one(folder, of_one, of_two):
    one, two = (
        load_file(
            verl_checkpoint.write_adapter(folder / name / "checkpoint", folder / f"{name}_adapter")
            / "adapter_model.safetensors"
        )
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for name, weight in one.items():
        # bfloat16: the last place of 8 bits. Near 0, where Adam divides two small numbers, 4e-6 was
        # seen; a step of the learning rate is 1e-3.
        torch.testing.assert_close(two[name], weight, rtol=2**-7, atol=1e-5)
