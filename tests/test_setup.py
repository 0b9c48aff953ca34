"""The set-up script: a second call does nothing, changes and failures are noticed,
torchvision loads on CPU torch.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (
    "examples/setup.sh",
    "examples/machine.sh",
    "requirements/cpu.txt",
    "requirements/unmet.py",
    "pyproject.toml",
)

# Stands for Python, notes what it is asked to do, and claims that nothing is unmet.
FAKE_PYTHON = """#!/usr/bin/env bash
echo "$*" >> "$NOTES"
case "$*" in
    *purelib*) echo "$SITE" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install"*flash-attn*)
        [[ -n ${WHEEL:-} ]] || { echo "no matching distribution"; exit 1; } ;;
    "-m pip install"*) [[ -z ${BROKEN:-} ]] || { echo "no space left on device"; exit 1; } ;;
esac
"""


class Checkout:
    """A copy of the script and of what it reads, at a path with a space,
    and a stand-in for Python.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        for file in (*NEEDED, "requirements/torchvision_cpu_schemas.py"):
            (self.root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, self.root / file)
        self.site, self.notes, self.python = (
            folder / "site",
            folder / "notes",
            folder / "fake python",
        )
        self.site.mkdir()
        self.python.write_text(FAKE_PYTHON, encoding="utf-8")
        self.python.chmod(0o755)

    def set_up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script from elsewhere, as on a machine without a GPU."""
        self.notes.write_text("", encoding="utf-8")
        variables = {
            "DIFFICULTY_CALIB_DEVICE": "cpu",
            "DIFFICULTY_CALIB_PYTHON": str(self.python),
            "NOTES": str(self.notes),
            "SITE": str(self.site),
            **environment,
        }
        return subprocess.run(
            ["bash", str(self.root / "examples/setup.sh")],
            cwd="/",
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def installs(self) -> list[str]:
        """The pip installations of the last run."""
        return [
            line
            for line in self.notes.read_text(encoding="utf-8").splitlines()
            if line.startswith("-m pip install")
        ]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_second_call_runs_nothing_and_a_changed_lock_installs_again(checkout: Checkout) -> None:
    first = checkout.set_up()
    assert first.returncode == 0, first.stderr
    assert len(checkout.installs()) == 1 and str(checkout.root) in checkout.installs()[0]
    second = checkout.set_up()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert checkout.notes.read_text(encoding="utf-8") == ""
    with (checkout.root / "requirements/cpu.txt").open("a", encoding="utf-8") as lock:
        lock.write("# changed\n")
    assert checkout.set_up().returncode == 0
    assert len(checkout.installs()) == 1


def test_a_failed_installation_is_told_and_the_next_call_goes_on(checkout: Checkout) -> None:
    failed = checkout.set_up(BROKEN="yes")
    assert failed.returncode != 0
    assert "no space left on device" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("[setup] FAILED: this project did not work")
    assert checkout.set_up().returncode == 0
    assert not any(
        " venv " in line for line in checkout.notes.read_text(encoding="utf-8").splitlines()
    )


def test_another_device_makes_the_environment_anew(checkout: Checkout) -> None:
    shutil.copy(ROOT / "requirements/gpu.txt", checkout.root / "requirements/gpu.txt")
    assert checkout.set_up().returncode == 0
    (checkout.root / ".venv/left-over").touch()
    again = checkout.set_up(DIFFICULTY_CALIB_DEVICE="gpu")
    # 21 GB may not be free where the tests run; what was there is gone either way.
    assert again.returncode == 0 or "GB are needed" in again.stderr
    assert not (checkout.root / ".venv/left-over").exists()


@pytest.fixture
def gpu_checkout(checkout: Checkout) -> Checkout:
    """One whose disk has room for the GPU set, whatever this machine's has."""
    shutil.copy(ROOT / "requirements/gpu.txt", checkout.root / "requirements/gpu.txt")
    df = checkout.site.parent / "bin/df"
    df.parent.mkdir()
    df.write_text("#!/bin/sh\nprintf 'head\\n- 0 0 100000000 - -\\n'\n", encoding="utf-8")
    df.chmod(0o755)
    return checkout


def set_up_gpu(checkout: Checkout, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout.site.parent / 'bin'}:{os.environ['PATH']}"
    return checkout.set_up(DIFFICULTY_CALIB_DEVICE="gpu", PATH=path, **environment)


def test_without_a_wheel_of_flash_attn_the_set_up_ends_well(gpu_checkout: Checkout) -> None:
    done = set_up_gpu(gpu_checkout)
    assert done.returncode == 0, done.stderr
    assert "attention is torch's sdpa. To compile it: DIFFICULTY_CALIB_FLASH_ATTN" in done.stdout
    [asked] = [line for line in gpu_checkout.installs() if "flash-attn" in line]
    assert "--only-binary flash-attn flash-attn==" in asked
    # Nothing is tried again until something changes.
    assert set_up_gpu(gpu_checkout).stdout == ""


def test_flash_attn_is_compiled_or_left_out_when_asked(gpu_checkout: Checkout) -> None:
    assert set_up_gpu(gpu_checkout, DIFFICULTY_CALIB_FLASH_ATTN="compile").returncode == 0
    assert any("--no-build-isolation flash-attn==" in line for line in gpu_checkout.installs())
    for chosen in (
        {"DIFFICULTY_CALIB_FLASH_ATTN": "no"},
        {"DIFFICULTY_CALIB_WITHOUT": "flash-attn"},
    ):
        assert set_up_gpu(gpu_checkout, **chosen).returncode == 0
        assert not any("flash-attn" in line for line in gpu_checkout.installs())


def test_an_unknown_device_is_refused_by_name(checkout: Checkout) -> None:
    refused = checkout.set_up(DIFFICULTY_CALIB_DEVICE="tpu")
    assert refused.returncode != 0
    assert "'tpu'; it can be cpu or gpu" in refused.stderr


def test_sourcing_puts_the_environment_first_and_keeps_the_shell(checkout: Checkout) -> None:
    assert checkout.set_up().returncode == 0
    shell = (
        f'. "{checkout.root}/examples/setup.sh"; command -v python; '
        'set +o | grep -c "set -o errexit"'
    )
    environment = os.environ | {"DIFFICULTY_CALIB_DEVICE": "cpu"}
    sourced = subprocess.run(
        ["bash", "-c", shell], env=environment, capture_output=True, text=True, timeout=60
    )
    assert sourced.stdout.splitlines() == [str(checkout.root / ".venv/bin/python"), "0"]


def make_distribution(site: Path, name: str, version: str, *, broken: bool = False) -> None:
    """A distribution of one module, which ``broken`` leaves out."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    (info / "RECORD").write_text(f"{name}.py,,\n{info.name}/METADATA,,\n", encoding="utf-8")
    if not broken:
        (site / f"{name}.py").touch()


def test_unmet_names_what_is_absent_old_or_in_pieces(tmp_path: Path) -> None:
    make_distribution(tmp_path, "whole_one", "1.0")
    make_distribution(tmp_path, "local", "2.0+cpu")
    make_distribution(tmp_path, "old", "1.0")
    make_distribution(tmp_path, "pieces", "1.0", broken=True)
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# a comment\nWhole.One==1.0\nlocal==2.0\nold==1.1\npieces==1.0\nabsent==3\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-S", str(ROOT / "requirements/unmet.py"), str(lock)]
    printed = subprocess.run(
        command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == ["old==1.1", "pieces==1.0", "absent==3"]


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter that has the start-up module
    of requirements/ at hand.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT / "requirements")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_imports_and_the_start_up_module_does_not_import_torch() -> None:
    code = (
        "import sys, torchvision_cpu_schemas; early = 'torch' in sys.modules; "
        "import torchvision; print(early)"
    )
    assert run_python(code) == "False"


def test_a_cpu_build_of_torchvision_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "version.py").write_text("__version__ = '0.28.0+cpu'\n", encoding="utf-8")
    folders = [str(tmp_path), str(tmp_path / "absent")]
    code = f"import torchvision_cpu_schemas as t; print(*map(t.declare_schemas, {folders!r}))"
    assert run_python(code) == "False False"
