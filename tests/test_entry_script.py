"""What the main script refuses before it starts anything."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_on_a_gpu_the_main_script_needs_an_expert_and_says_how_to_name_one(tmp_path):
    """The set-up and the GPU are stand-ins: neither is to be had here, and neither is under test."""
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
