"""The preflight as it is called: on a bare Python, one verdict a line, the remedy last."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.difficulty_calib.preflight import attention, checks, machine
from recipe.difficulty_calib.preflight.__main__ import main
from recipe.difficulty_calib.preflight.checks import Run

ROOT = Path(__file__).resolve().parents[3]
MODULE = "recipe.difficulty_calib.preflight"
SEVEN_B = ["--profile", "llava_7b"]


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with enough of all that is not the GPU."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(machine, "cpus", lambda: 64)
    for name in ("memory_gib", "free_gib", "shared_memory_gib"):
        monkeypatch.setattr(machine, name, lambda folder=None: 1000.0)


def verdicts(text: str) -> dict[str, str]:
    """First cell -> verdict, of the table's lines."""
    lines = [line for line in text.splitlines() if line.startswith("  ") and line[2] != " "]
    return {line[2:].split("  ")[0]: line.split()[-1] for line in lines}


@pytest.mark.parametrize("arguments", [[], ["--versions"], ["--plan"], ["--warn", *SEVEN_B]])
def test_it_runs_on_the_standard_library_alone(arguments: list[str]) -> None:
    """-S: no site-packages; -E: no PYTHONPATH either."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-m", MODULE, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr and done.stdout


def test_a_card_of_80_gb_will_do(cards, roomy, capsys) -> None:
    cards(1)
    assert main(SEVEN_B) == 0
    assert set(verdicts(capsys.readouterr().out).values()) == {"ok"}
    main(["--plan"])
    assert capsys.readouterr().out == "1 gpu_1x80\n"


def test_a_card_of_48_gb_gets_its_own_device_and_one_of_24_a_clear_no(cards, roomy, capsys) -> None:
    cards(1, mib=46068)
    assert main(SEVEN_B) == 0
    main(["--plan"])
    assert capsys.readouterr().out.endswith("1 gpu_1x48\n")
    cards(1, mib=24564)
    assert main(SEVEN_B) == 1
    out, err = capsys.readouterr()
    assert verdicts(out)["GPU memory"] == "no"
    assert out.splitlines()[-1].startswith("no: GPU memory: nothing smaller fits 7.1 billion")
    assert err.startswith("FAILED: preflight: GPU memory: see the remedy above")


def test_a_verdict_can_be_overruled(cards, roomy, capsys) -> None:
    cards(1, mib=24564)
    assert main([*SEVEN_B, "--warn"]) == 0
    assert "no: GPU memory" in capsys.readouterr().out


@pytest.mark.parametrize("count", [3, 5, 6, 7])
def test_gpus_that_do_not_split_the_batch_are_refused_with_the_counts_that_do(
    count: int, cards, roomy, capsys, monkeypatch
) -> None:
    cards(count)
    assert main(SEVEN_B) == 1
    assert "no: batches: use 1, 2, 4, 8, 16 GPUs" in capsys.readouterr().out
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert main(SEVEN_B) == 0


def test_six_gpus_with_batches_of_their_own_will_do(cards, roomy) -> None:
    cards(6)
    grpo = ["data.train_batch_size=72", "actor_rollout_ref.actor.ppo_mini_batch_size=36"]
    assert main([*SEVEN_B, "--sft", "data.train_batch_size=36", "--", *grpo]) == 0
    assert main([*SEVEN_B, "--", *grpo]) == 1  # SFT's 32 is floored
    assert main([*SEVEN_B, "--sft", "data.train_batch_size=36", "--without-grpo"]) == 0


def test_two_nodes_split_grpo_over_all_gpus(cards, roomy) -> None:
    cards(8)
    assert main([*SEVEN_B, "--", "trainer.nnodes=2"]) == 0
    assert main([*SEVEN_B, "--", "trainer.nnodes=3"]) == 1


@pytest.mark.parametrize(
    ("driver", "cuda", "verdict"),
    [
        ("580.95.05", 13, "ok"),
        ("580.65.06", 13, "ok"),
        ("575.57.08", 13, "no"),
        ("535.183.01", 12, "ok"),
        ("470.82.01", 12, "no"),
        ("", 13, "warn"),
        ("580.95.05", None, "warn"),
    ],
)
def test_the_driver_is_held_against_the_wheels(driver: str, cuda: int | None, verdict: str) -> None:
    assert checks.driver_row(driver, cuda).verdict == verdict


def test_the_lock_tells_the_cuda_of_its_wheels() -> None:
    assert checks._wheels_cuda() in checks.OLDEST_DRIVER


def test_a_gpu_without_bfloat16_is_refused(cards, roomy, capsys) -> None:
    cards(1, capability="7.0")
    assert main(SEVEN_B) == 1
    assert "no: bfloat16: use a GPU of Ampere" in capsys.readouterr().out


def test_eleven_cpus_would_wait_for_ever(cards, roomy, capsys, monkeypatch) -> None:
    cards(1)
    monkeypatch.setattr(machine, "cpus", lambda: 11)
    assert main(SEVEN_B) == 1
    assert "ray_kwargs.ray_init.num_cpus=12" in capsys.readouterr().out
    assert main([*SEVEN_B, "--", "ray_kwargs.ray_init.num_cpus=12"]) == 0
    monkeypatch.setenv("RAY_ADDRESS", "auto")  # the cluster's CPUs are not this machine's
    assert main(SEVEN_B) == 0


def test_disk_memory_and_shared_memory(cards, roomy, capsys, monkeypatch) -> None:
    cards(1)
    monkeypatch.setattr(machine, "shared_memory_gib", lambda: 0.0625)  # Docker's default
    monkeypatch.setattr(machine, "free_gib", lambda folder: 10.0)
    monkeypatch.setattr(machine, "memory_gib", lambda: 32.0)
    assert main(SEVEN_B) == 1
    out, err = capsys.readouterr()
    found = verdicts(out)
    assert (found["disk"], found["/dev/shm"], found["memory"]) == ("no", "no", "warn")
    assert "--shm-size=16g" in out and "disk, /dev/shm" in err


def test_a_run_that_goes_on_needs_room_for_the_rest_alone(
    cards, roomy, monkeypatch, tmp_path
) -> None:
    """53 GiB of merged models and 14 beside them; the environment and the base are there."""
    cards(1)
    monkeypatch.setattr(checks, "_installed", lambda: True)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    model = "llava-hf/llava-1.5-7b-hf"
    (tmp_path / "hf/hub" / f"models--{model.replace('/', '--')}").mkdir(parents=True)
    monkeypatch.setattr(machine, "free_gib", lambda folder: 20.0)
    arguments = [*SEVEN_B, "--model", model, "--out", str(tmp_path / "run")]
    assert main(arguments) == 1
    (tmp_path / "run").mkdir()
    with (tmp_path / "run/merged").open("wb") as file:
        file.truncate(50 * 1024**3)  # sparse: it takes no room here
    assert main(arguments) == 0


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_none(hidden: str, cards, roomy, capsys, monkeypatch) -> None:
    cards(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    main(["--plan"])
    assert capsys.readouterr().out == "0 cpu\n"
    assert main(SEVEN_B) == 1
    assert "unset CUDA_VISIBLE_DEVICES or name a GPU" in capsys.readouterr().out


def test_an_amd_gpu_is_refused_by_name(nvidia_smi, roomy, capsys, monkeypatch) -> None:
    nvidia_smi("")
    monkeypatch.setattr(machine, "has_rocm", lambda: True)
    assert main(SEVEN_B) == 1
    assert "AMD (ROCm)" in capsys.readouterr().out


def test_rocm_is_seen_by_its_device(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not machine.has_rocm(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kfd").touch()
    assert machine.has_rocm(tmp_path)


def test_a_driver_that_does_not_answer(nvidia_smi, roomy, capsys) -> None:
    nvidia_smi("NVIDIA-SMI has failed because it couldn't communicate.", code=9)
    assert main(SEVEN_B) == 1
    assert "couldn't communicate" in capsys.readouterr().out


def test_memory_that_is_not_told_is_a_warning(nvidia_smi, roomy) -> None:
    nvidia_smi("GPU 0: a stand-in")
    rows = {row.what: row.verdict for row in checks.gpu_rows(Run("llava_7b"))}
    assert (rows["GPU memory"], rows["driver"], rows["bfloat16"]) == ("warn",) * 3


def test_versions_are_those_that_a_report_names(capsys) -> None:
    assert main(["--versions"]) == 0
    names = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    for name in ("commit", "python", "verl", "torch", "transformers", "gpu"):
        assert name in names


def test_flash_attention_is_used_only_where_it_can_be_imported(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    (tmp_path / "flash_attn.py").write_text("raise ImportError('undefined symbol: _ZN3c10')")
    chosen, why = attention.choose()
    assert chosen == "sdpa" and "undefined symbol" in why
    (tmp_path / "flash_attn.py").write_text("")
    # Python may trust a cached compilation of a file that changed within a second.
    for cached in (tmp_path / "__pycache__").glob("*"):
        os.remove(cached)
    assert attention.choose()[0] == "flash_attention_2"
    # Not by monkeypatch, which would put it back for the tests that follow:
    # transformers asks for it.
    del sys.modules["flash_attn"]
