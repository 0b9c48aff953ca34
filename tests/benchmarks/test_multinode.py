"""examples/slurm_multinode.sh on one machine: Slurm's commands are stand-ins, Ray and verl are not.

Two Ray nodes, a logical device on each; the pocket model's GRPO attaches and takes both. It takes
two minutes on an idle machine of two cores.
"""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from reward_fns.difficulty import coefficients, save_coefficients

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "data_prep/pocket/base_model"
_SRUN = """#!/usr/bin/env bash
# Slurm's srun on one machine: its options are dropped, the command runs here.
while [[ "$1" == --* ]]; do shift; done
if [[ "$1" == hostname ]]; then echo 127.0.0.1; exit; fi
exec "$@"
"""
_SCONTROL = "#!/bin/sh\necho first\necho second\n"


@pytest.fixture
def command(tmp_path) -> str:
    """Two GRPO steps of the pocket model on two nodes, without dynamic sampling."""
    from data_prep.pocket import data

    data.write(tmp_path, 0, {"rl_train": 20, "test": 20, "sft_questions": 20})
    tags = dict.fromkeys(data.DATASETS, coefficients("VQAv2"))
    save_coefficients(tmp_path / "coefficients.yaml", tags)
    reward = "reward.custom_reward_function.reward_kwargs"
    overrides = [
        f"data.train_files={tmp_path}/rl_train.parquet",
        f"data.val_files={tmp_path}/test.parquet",
        f"{reward}.coefficients={tmp_path}/coefficients.yaml",
        f"actor_rollout_ref.model.path={POCKET}",
        f"trainer.default_local_dir={tmp_path}/checkpoints",
        f"hydra.run.dir={tmp_path}",
        "trainer.nnodes=2",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        "data.train_batch_size=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16",
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=16",
        "algorithm.filter_groups.enable=false",
    ]
    train = "python -m recipe.difficulty_calib.train --config-name pocket"
    return f"{train} {' '.join(overrides)}"


@pytest.fixture
def environment(tmp_path, command) -> dict[str, str]:
    """What sbatch would give the script, and what verl needs on a CPU."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("srun", _SRUN), ("scontrol", _SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_JOB_ID": f"test{os.getpid()}",
        "SLURM_JOB_NODELIST": "two",
        "SLURM_CPUS_PER_TASK": "12",
        "SLURM_GPUS_ON_NODE": "1",
        "RAY_PORT": str(port),
        "COMMAND": f"cd {tmp_path} && {command}",
        "VERL_FILE_LOGGER_PATH": str(tmp_path / "curves.jsonl"),
        "TENSORBOARD_DIR": str(tmp_path / "tensorboard"),
        "VERL_PLATFORM": "cpu",
        "VERL_ENGINE_DEVICE": "cuda",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "HYDRA_FULL_ERROR": "1",
        "DIFFICULTY_CALIB_DEVICE": "cpu",
    }


def test_a_run_takes_both_nodes_of_a_cluster_and_its_metrics_come_back(environment, tmp_path):
    done = subprocess.run(
        ["bash", str(ROOT / "examples/slurm_multinode.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1700,
    )
    shutil.rmtree(f"/tmp/ray_{environment['SLURM_JOB_ID']}", ignore_errors=True)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-3000:]
    assert len(re.findall(r"^[\d.]+: 12 CPU, 1 GPU$", log, re.MULTILINE)) == 1 + 2
    lines = (tmp_path / "curves.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    assert [step["step"] for step in steps] == [1, 2]
    correlation = "training/rollout_actor_probs_pearson_corr"
    assert min(step["data"][correlation] for step in steps) >= 0.999
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert not list((ROOT / "outputs").glob(f".ray_token_{environment['SLURM_JOB_ID']}"))
