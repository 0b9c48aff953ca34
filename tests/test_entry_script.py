"""What the main script refuses before it starts anything."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_on_a_gpu_the_main_script_needs_an_expert_and_says_how_to_name_one(tmp_path):
    """The set-up and the GPU are stand-ins: neither is to be had here or under test."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "examples/setup.sh").write_text("mkdir -p .venv && echo gpu >.venv/.device\n")
    (tmp_path / "bin").mkdir()
    smi = tmp_path / "bin/nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: a stand-in'\n")
    smi.chmod(0o755)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("EXPERT", "PROFILE", "RUN", "DATA", "CONFIG", "MODEL")
    }
    environment["PATH"] = f"{smi.parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", str(tmp_path / "examples/run_llava_grpo.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('FAILED: no expert: set EXPERT, for instance to \'{"kind":')
    assert not (tmp_path / "outputs").exists()


def test_an_unknown_rule_is_refused_before_anything_is_trained(tmp_path):
    """The set-up is a stand-in, as above."""
    for folder in ("examples", "recipe/difficulty_calib/config/rule"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "examples/setup.sh").write_text("mkdir -p .venv && echo cpu >.venv/.device\n")
    done = subprocess.run(
        ["bash", str(tmp_path / "examples/run_llava_grpo.sh")],
        env=os.environ | {"RULE": "paper both", "PROFILE": "pocket"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "FAILED: there is no rule both: RULE is none, or of log paper proper segments\n"
    )
    assert not (tmp_path / "outputs").exists()
