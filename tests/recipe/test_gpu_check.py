"""Parts of examples/gpu_check.sh: the model it makes, the memory it samples,
its table of a failed run.
"""

import os
import shutil
import subprocess
from pathlib import Path

from recipe.difficulty_calib.gpu_check import memory, model, table
from recipe.difficulty_calib.scale.shapes import Llava

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "data_prep/pocket/base_model"


def test_without_a_gpu_it_says_so_before_anything_runs(tmp_path):
    """The set-up is a stand-in that finds no GPU."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "examples/setup.sh").write_text("mkdir -p .venv && echo cpu >.venv/.device\n")
    script = ["bash", str(tmp_path / "examples/gpu_check.sh")]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and not (tmp_path / "outputs").exists()
    assert done.stderr == (
        "FAILED: nvidia-smi finds no GPU here. Without one: bash examples/gpu_check.sh --cpu\n"
    )


def test_help_is_the_script_s_own_head():
    done = subprocess.run(
        ["bash", ROOT / "examples/gpu_check.sh", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Does this machine run the project?") and "--cpu" in done.stdout
    assert "set -euo" not in done.stdout


def test_a_stage_that_failed_is_told_from_one_that_did_not_run(tmp_path):
    for folder in ("stages", "logs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "logs/model.log").write_text("=== python\n")
    (tmp_path / "stages/model.json").write_text('{"seconds": 3, "ended": "103.0"}')
    (tmp_path / "logs/sft.log").write_text("=== torchrun\nRuntimeError: out of memory\n")
    (tmp_path / "memory.jsonl").write_text(
        '{"at": 101.0, "bytes": 2147483648}\n{"at": 500.0, "bytes": 4294967296}\n{"at": 5'
    )
    wanted = {"sft_steps": 20, "grpo_steps": 3, "correlation": 0.999, "attention": "sdpa"}
    page, good = table.write(tmp_path, wanted)
    assert not good
    assert "| model | ran | 3 | - | 2 |" in page
    assert "| sft | FAILED | - | - | - |" in page
    assert "| grpo | not run | - | - | - |" in page
    assert "| GRPO steps | >= 3 | 0 | NO |" in page


def test_the_card_is_asked_for_its_memory(tmp_path, monkeypatch):
    """nvidia-smi is a stand-in: 1,234 MiB."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$2" = GPU-7 ] && echo 1234\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert memory.card_bytes("GPU-7") == 1234 * 2**20


def test_a_made_tokenizer_has_llamas_ids_and_576_tokens_a_picture():
    shape = model.SHAPES["real"]
    processor = model._made_processor(POCKET, shape, widen=True)
    assert len(processor.tokenizer) == model.IDS
    assert model._check_image_tokens(processor, shape) == 576
    assert processor.tokenizer.decode([model.IDS - 1]) == f"<{model.IDS - 1}>"


def test_the_real_shapes_are_those_of_llava_7b_but_for_the_number_of_layers():
    import torch

    shape = model.SHAPES["real"]
    with torch.device("meta"):
        processor = model._made_processor(POCKET, shape, widen=False)
        net = model._random_model(shape, processor, model.ROWS)
    few = Llava(layers=4, vision_layers=4)
    assert sum(weight.numel() for weight in net.parameters()) == few.parameters
