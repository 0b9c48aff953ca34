"""What examples/hallucination_methods.sh refuses, and its help; `tests/benchmarks` runs it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = "examples/hallucination_methods.sh"


@pytest.fixture
def checkout(tmp_path):
    """The scripts without an environment to set up: nothing that is refused needs one."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "examples" / "setup.sh").write_text("")
    return tmp_path


def run(checkout, *arguments, **variables):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", SCRIPT, *map(str, arguments)],
        cwd=checkout,
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refused(found):
    assert found.returncode == 1 and not found.stdout
    assert found.stderr.startswith("FAILED: ") and found.stderr.count("FAILED") == 1
    return found.stderr


def test_help_is_the_script_s_own_head(checkout):
    found = run(checkout, "--help")
    assert found.returncode == 0 and not found.stderr
    assert found.stdout.startswith("All rows of Table 3") and "RUN_DIR" in found.stdout
    assert "set -euo" not in found.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "why"),
    [
        (["--fast"], {}, "there is no option --fast"),
        (["runs", "STEPS=3"], {}, "variables such as SEED=1 stand before bash"),
        (["nowhere"], {}, "there is no folder nowhere"),
        (["--quick", "examples"], {}, "RUN_DIR brings its own size"),
        (["examples"], {"RATES": "ha-dpo=1e-3"}, "'ha-dpo=1e-3' is not NAME=RATE"),
        (["examples"], {}, "holds no pairs.jsonl: finish the main job"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(checkout, arguments, variables, why):
    assert why in refused(run(checkout, *arguments, **variables))


@pytest.mark.parametrize(
    ("config", "why"),
    [({"profile": "llava_7b"}, "a run of llava_7b"), ({"model": "base+lora"}, "merge the adapter")],
)
def test_a_run_of_another_kind_is_refused(checkout, config, why):
    (checkout / "run").mkdir()
    (checkout / "run" / "config.json").write_text(json.dumps(config))
    assert why in refused(run(checkout, "run"))
    assert list((checkout / "run").iterdir()) == [checkout / "run" / "config.json"]


STAGES = """
depends_on() { :; }
lock_run() { :; }
stage() { echo "$1:"; printf '  %s\\n' "${@:4}"; }
"""


def test_each_model_that_is_there_has_one_row(checkout):
    """The stages' own script is replaced by one that shows the commands."""
    (checkout / "examples" / "stages.sh").write_text(STAGES)
    run_dir = checkout / "run"
    there = ["stage_one/pairs.jsonl", "stage_one/splits.jsonl", "stage_one/sft.parquet"]
    there += ["models/sft/config.json", "models/rl_proper/adapter_config.json"]
    there += ["hallucination/hallucination.md", "hallucination/differences.md"]
    for name in there:
        (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / name).touch()
    (run_dir / "config.json").write_text(json.dumps({"rules": "proper segments"}))
    found = run(checkout, "run")
    assert found.returncode == 0, found.stderr
    command = found.stdout.partition("table3:")[2].partition("--seed")[0]
    rows = [line.split("=")[0].strip() for line in command.splitlines() if "={" in line]
    trained = ["ha_dpo", "povid", "rlaif_v", "less_is_more"]
    assert rows == ["base", "sft", "rl_proper", "rl_on_base", "vcd", "opera", *trained]
