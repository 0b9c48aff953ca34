"""examples/run_ablation.sh: what it lists, refuses, and runs in which order.

The set-up and the stages are stand-ins, which show the commands: a training takes minutes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = "examples/run_ablation.sh"
STAGES = """
made_from=""
depends_on() { made_from="data"; }
lock_run() { :; }
always() { echo "$1:"; printf '  %s\\n' "${@:3}"; }
stage() {
    echo "$1: after ${made_from:-nothing}"
    printf '  %s\\n' "${@:4}"
    made_from="$made_from>$1"
}
training_stage() { stage "$@"; }
"""


@pytest.fixture
def checkout(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "examples" / "setup.sh").write_text("")
    (tmp_path / "examples" / "stages.sh").write_text(STAGES)
    (tmp_path / "data_prep" / "pocket").mkdir(parents=True)
    (tmp_path / "data_prep" / "pocket" / "base_model").symlink_to(
        ROOT / "data_prep" / "pocket" / "base_model"
    )
    return tmp_path


def run(checkout, *arguments, **variables):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name not in ("RUN", "ROWS")}
    return subprocess.run(
        ["bash", SCRIPT, *map(str, arguments)],
        cwd=checkout,
        env=environment | {"PATH": path, "DIFFICULTY_CALIB_DEVICE": "cpu"} | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def hours(text):
    return re.search(r"about (\d+) hours", text)[1]


def test_help_and_list_tell_the_same_hours(checkout):
    told, listed = run(checkout, "--help"), run(checkout, "--list")
    assert told.returncode == listed.returncode == 0, told.stderr + listed.stderr
    assert told.stdout.startswith("The ablation on the pocket model") and "--only" in told.stdout
    assert "set -euo" not in told.stdout
    assert hours(told.stdout) == hours(listed.stdout)
    lines = [line.split() for line in listed.stdout.splitlines()]
    row = next(line for line in lines if line and line[0] == "own_paper_fixed")
    assert row == "own_paper_fixed sft_own paper all 0 1 2 1.4 coefficients=fixed".split()
    assert not (checkout / "outputs").exists()


@pytest.mark.parametrize(
    ("arguments", "variables", "why"),
    [
        (["--fast"], {}, "there is no option --fast"),
        (["--only"], {}, "--only needs a value"),
        (["--only", "own_paper own"], {}, "there is no row own; there are base, sft_own, "),
        (["--list", "--only", "own"], {}, "there is no row own; there are base, sft_own, "),
        (["--seeds", "0,1"], {}, "--seeds '0,1' are no whole numbers"),
        (["--test", "many"], {}, "--test many is no number of questions"),
        ([], {"RUN": "a/b"}, "RUN=a/b names a folder in outputs/"),
        ([], {"ROWS": "no.yaml"}, "no file no.yaml"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(checkout, arguments, variables, why):
    found = run(checkout, *arguments, **variables)
    assert found.returncode == 1 and not found.stdout
    assert found.stderr.startswith("FAILED: ") and found.stderr.count("\n") == 1
    assert why in found.stderr and not (checkout / "outputs").exists()


def test_each_row_follows_what_it_starts_from_and_nothing_else(checkout):
    found = run(
        checkout, "--quick", "--only", "own_paper own_paper_fixed sft_facts sft_facts_brier"
    )
    assert found.returncode == 0, found.stderr
    stages = re.findall(r"^(\w+): after (.*)$", found.stdout, re.MULTILINE)
    first = [stage for stage in stages if not stage[0].startswith("isotonic")]
    one = "data>questions>stage_one"
    facts = f"{one}>copy_facts>stage_one_facts"
    own = f"{one}>sft_own>sft_own_export"
    asked = ">held_out"
    assert first[: first.index(("held_out", "nothing"), 1)] == [
        ("held_out", "nothing"),
        ("questions", "data"),
        ("stage_one", "data>questions"),
        ("evaluation_base", f"{asked} data"),
        ("sft_own", one),
        ("sft_own_export", f"{one}>sft_own"),
        ("evaluation_sft_own", f"{asked} {own}"),
        ("copy_facts", one),
        ("stage_one_facts", f"{one}>copy_facts"),
        ("sft_facts", facts),
        ("sft_facts_export", f"{facts}>sft_facts"),
        ("evaluation_sft_facts", f"{asked} {facts}>sft_facts>sft_facts_export"),
        ("copy_facts", one),
        ("stage_one_facts", f"{one}>copy_facts"),
        ("sft_facts_brier", facts),
        ("sft_facts_brier_export", f"{facts}>sft_facts_brier"),
        ("evaluation_sft_facts_brier", f"{asked} {facts}>sft_facts_brier>sft_facts_brier_export"),
        ("own_paper", own),
        ("own_paper_export", f"{own}>own_paper"),
        ("evaluation_own_paper", f"{asked} {own}>own_paper>own_paper_export"),
        ("own_paper_fixed", own),
        ("own_paper_fixed_export", f"{own}>own_paper_fixed"),
        ("evaluation_own_paper_fixed", f"{asked} {own}>own_paper_fixed>own_paper_fixed_export"),
    ]
    # On the other two seeds the main rows alone.
    names = [name for name, _ in stages]
    assert (names.count("sft_facts_brier"), names.count("own_paper_fixed")) == (1, 3)
    assert names.count("isotonic_pcr") == 3
    last = found.stdout.partition("fixed_dynamic_seed2:")[2]
    assert "  own_paper\n  own_paper_fixed\n" in last
    assert "  base\n  sft_own=base\n  sft_facts=base\n  sft_facts_brier=base\n" in last
    assert "  own_paper=sft_own\n  own_paper_fixed=sft_own\n" in last
    assert (checkout / "outputs/ablation-quick/rows.yaml").is_file()
