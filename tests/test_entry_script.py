"""What the main script refuses before it installs or starts anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (
    "examples",
    "requirements",
    *(f"recipe/difficulty_calib/{part}" for part in ("preflight", "config")),
)
OWN = ("EXPERT", "PROFILE", "RUN", "DATA", "CONFIG", "MODEL", "RULE", "SFT_ARGS", "PREFLIGHT")
OWN += ("CUDA_VISIBLE_DEVICES", "DIFFICULTY_CALIB_DEVICE")
EXPERT = '{"kind": "openai", "model": "gpt-4o"}'


class Checkout:
    """A copy of the script and of its preflight; the set-up, a stand-in,
    notes that it was called.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        for part in NEEDED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, self.root / part, ignore=ignored)
        (self.root / "examples/setup.sh").write_text("touch installed; exit 7\n")
        self.bin = folder / "bin"
        self.bin.mkdir()

    def show_gpus(self, count: int) -> None:
        """A stand-in for `nvidia-smi`: GPUs of 80 GB."""
        listing = "\n".join(f"GPU {i}: NVIDIA A100 (UUID: GPU-{i}a)" for i in range(count))
        table = "\n".join(f"GPU-{i}a, 81920, 580.95.05, 8.0, NVIDIA A100" for i in range(count))
        smi = self.bin / "nvidia-smi"
        smi.write_text(
            f"#!/bin/sh\nif [ \"$1\" = -L ]; then echo '{listing}'; else echo '{table}'; fi\n"
        )
        smi.chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in os.environ.items() if name not in OWN}
        variables |= {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "DIFFICULTY_CALIB_PYTHON": sys.executable,
        }
        return subprocess.run(
            ["bash", str(self.root / "examples/run_llava_grpo.sh"), *arguments],
            env=variables | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def untouched(self) -> bool:
        return not (self.root / "installed").exists() and not (self.root / "outputs").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_on_a_gpu_the_main_script_needs_an_expert_and_says_how_to_name_one(checkout) -> None:
    checkout.show_gpus(1)
    done = checkout.run(CONFIG="requirements/gpu.txt")
    assert done.returncode == 1
    assert done.stderr.startswith('FAILED: no expert: set EXPERT, for instance to \'{"kind":')
    assert "no questions" not in done.stderr
    assert checkout.untouched


def test_on_a_gpu_the_main_script_needs_questions_and_says_how_to_name_them(checkout) -> None:
    checkout.show_gpus(1)
    done = checkout.run(EXPERT=EXPERT)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: no questions: set CONFIG to a YAML of stage one")
    assert checkout.untouched


@pytest.mark.parametrize("arguments", [(), ("--quick",)])
def test_what_is_not_named_is_said_in_one_line(checkout, arguments: tuple[str, ...]) -> None:
    done = checkout.run(*arguments, PROFILE="llava_7b")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no expert: set EXPERT" in done.stderr and "no questions: set CONFIG" in done.stderr
    assert checkout.untouched


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"CONFIG": "no.yaml"}, "FAILED: there is no file CONFIG=no.yaml\n"),
        ({"DATA": "examples"}, "FAILED: DATA=examples holds no rl_train.parquet: name the --out"),
    ],
)
def test_questions_that_are_not_there_are_refused(
    checkout, named: dict[str, str], said: str
) -> None:
    checkout.show_gpus(1)
    done = checkout.run(EXPERT=EXPERT, **named)
    assert (done.returncode, done.stderr[: len(said)]) == (1, said)
    assert checkout.untouched


def test_three_gpus_are_refused_before_the_install_and_two_of_them_are_not(checkout) -> None:
    checkout.show_gpus(3)
    named = {"EXPERT": EXPERT, "CONFIG": "requirements/gpu.txt"}
    done = checkout.run(**named)
    assert done.returncode == 1
    assert "no: batches: use 1, 2, 4, 8, 16 GPUs" in done.stdout
    assert done.stderr.startswith("FAILED: preflight: ") and "batches" in done.stderr
    assert checkout.untouched
    done = checkout.run(**named, CUDA_VISIBLE_DEVICES="2,0")
    assert "no: batches" not in done.stdout


def test_the_quick_batch_and_the_user_s_own_are_those_that_are_checked(checkout) -> None:
    checkout.show_gpus(4)
    named = {"EXPERT": EXPERT, "CONFIG": "requirements/gpu.txt"}
    assert "GRPO 8 x 8" in checkout.run("--quick", **named).stdout
    mini = "actor_rollout_ref.actor.ppo_mini_batch_size=1"
    done = checkout.run("--quick", mini, "actor_rollout_ref.rollout.n=2", **named)
    assert "GRPO 1 x 2" in done.stdout and "no: batches" in done.stdout


def test_warnings_are_gone_past_when_asked(checkout) -> None:
    checkout.show_gpus(3)
    done = checkout.run(EXPERT=EXPERT, CONFIG="requirements/gpu.txt", PREFLIGHT="warn")
    assert "no: batches" in done.stdout
    assert done.returncode == 7 and not checkout.untouched  # the set-up was reached


@pytest.mark.parametrize(
    "environment", [{"CUDA_VISIBLE_DEVICES": ""}, {"DIFFICULTY_CALIB_DEVICE": "cpu"}]
)
def test_without_a_visible_gpu_the_pocket_profile_runs(
    checkout, environment: dict[str, str]
) -> None:
    checkout.show_gpus(2)
    done = checkout.run(**environment)
    assert "preflight of pocket" in done.stdout
    assert "no expert" not in done.stderr


def test_an_unknown_rule_is_refused_before_anything_is_installed(checkout) -> None:
    done = checkout.run(RULE="paper both", PROFILE="pocket")
    assert done.returncode == 1
    assert done.stderr == (
        "FAILED: there is no rule both: RULE is none, or of log paper proper segments\n"
    )
    assert checkout.untouched


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("-quick",), {}, "'-quick' is no Hydra key"),
        (("trainer.x=1", "--quick"), {}, "'--quick' is no Hydra key with its value; --quick comes"),
        (("PREFLIGHT=warn",), {}, "PREFLIGHT is a variable: write it before bash"),
        (("trainer.n_gpus_per_node=2",), {}, "CUDA_VISIBLE_DEVICES says which GPUs are used"),
        ((), {"PREFLIGHT": "versions"}, "PREFLIGHT is warn or not set, got 'versions'"),
        ((), {"SEED": "1.5"}, "SEED=1.5 is no whole number"),
        ((), {"RUN": "../x"}, "RUN=../x names a folder in outputs/"),
        (
            (),
            {"PROFILE": "llava7b"},
            "there is no profile llava7b: PROFILE is one of llava_7b pocket",
        ),
        ((), {"MODEL": "examples"}, "MODEL=examples holds no config.json"),
        ((), {"MODEL": "/nope"}, "MODEL=/nope holds no config.json"),
        ((), {"EXPERT": "{"}, "EXPERT is not JSON: an object in braces"),
        ((), {"RULE": "../rule/paper"}, "RULE=../rule/paper: name rules by their names"),
        ((), {"DATA": "x", "CONFIG": "README.md"}, "CONFIG makes stage one and DATA is a finished"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_before_the_install(
    checkout, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    (checkout.root / "README.md").touch()
    done = checkout.run(*arguments, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: ") and said in done.stderr
    assert len(done.stderr.splitlines()) == 1 and checkout.untouched


def test_help_is_the_script_s_own_head(checkout) -> None:
    done = checkout.run("--help")
    assert done.returncode == 0 and checkout.untouched
    assert "RULE=" in done.stdout and "set -euo" not in done.stdout and "#" not in done.stdout[:2]


@pytest.mark.parametrize(
    "broken", ["echo 'GPU 0: A (UUID: GPU-0a)'; exit 9", "echo rubbish", "exit 255"]
)
def test_a_gpu_that_cannot_be_used_makes_no_pocket_run_of_one_s_own_data(
    checkout, broken: str
) -> None:
    smi = checkout.bin / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\n{broken}\n")
    smi.chmod(0o755)
    done = checkout.run(EXPERT=EXPERT, CUDA_VISIBLE_DEVICES="7")
    assert done.returncode == 1 and checkout.untouched
    assert "no GPU can be used here" in done.stderr


def test_a_typing_error_in_the_visible_devices_makes_no_pocket_run(checkout) -> None:
    checkout.show_gpus(2)
    done = checkout.run(CUDA_VISIBLE_DEVICES="all")
    assert "FAILED: CUDA_VISIBLE_DEVICES=all names no GPU" in done.stderr and checkout.untouched


def test_a_listing_that_is_written_line_by_line_is_read_whole(checkout) -> None:
    """With `grep -q` behind it a third of such listings counted as no GPU:
    the pipe closed early.
    """
    smi = checkout.bin / "nvidia-smi"
    lines = "; ".join(f"sleep 0.01; echo 'GPU {i}: A (UUID: GPU-{i}a)'" for i in range(8))
    smi.write_text(f"#!/bin/bash\nset -e\n{lines}\n")
    smi.chmod(0o755)
    script = f"set -euo pipefail; . {checkout.root}/examples/machine.sh; has_gpu && echo yes"
    for _ in range(5):
        done = subprocess.run(
            ["bash", "-c", script],
            env=os.environ | {"PATH": f"{checkout.bin}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert done.stdout == "yes\n"


def test_pocket_on_a_gpu_machine_takes_the_cpu_set_and_spares_a_gpu_s(checkout) -> None:
    checkout.show_gpus(1)
    (checkout.root / "examples/setup.sh").write_text(
        'echo "device $DIFFICULTY_CALIB_DEVICE"; exit 7\n'
    )
    assert "device cpu" in checkout.run(PROFILE="pocket").stdout
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv/.device").write_text("gpu\n")
    done = checkout.run(PROFILE="pocket")
    assert "DIFFICULTY_CALIB_DEVICE=cpu puts it in its place" in done.stderr


@pytest.mark.parametrize("run", ["..", ".", "a/b", "kept"])
def test_the_gpu_check_removes_no_folder_but_its_own(checkout, run: str) -> None:
    kept = checkout.root / "outputs/kept/report.html"
    kept.parent.mkdir(parents=True)
    kept.touch()
    done = subprocess.run(
        ["bash", str(checkout.root / "examples/gpu_check.sh"), "--cpu"],
        env=os.environ | {"RUN": run, "DIFFICULTY_CALIB_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stderr.startswith("FAILED: ")
    assert kept.exists() and not (checkout.root / "installed").exists()
