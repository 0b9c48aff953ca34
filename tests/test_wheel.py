"""The plain wheel: what it asks for is what the leaf imports,
and it scores without torch and verl.
"""

import ast
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = {"PIL": "pillow", "yaml": "pyyaml"}
"""Imported name -> package, where they differ."""
OPTIONAL = {
    "torch": {"adapters/openrlhf.py"},  # OpenRLHF brings it
    "sentence_transformers": {"expert/nli.py"},  # the extras data and eval
}
"""What is imported late, by these files alone, and not asked for."""


def imported() -> dict[str, set[str]]:
    """Top-level name -> files of reward_fns that import it, anywhere in them."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "reward_fns").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                file = str(path.relative_to(ROOT / "reward_fns"))
                found.setdefault(name.split(".")[0], set()).add(file)
    return {name: files for name, files in found.items() if name not in sys.stdlib_module_names}


def test_the_wheel_asks_for_exactly_what_the_leaf_imports():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = {PACKAGE.get(name, name) for name in imported().keys() - {"reward_fns", *OPTIONAL}}
    assert {line.split(">")[0] for line in settings["project"]["dependencies"]} == names


def test_what_is_not_asked_for_is_imported_by_the_files_that_say_so_alone():
    assert {name: imported()[name] for name in OPTIONAL} == OPTIONAL


SCORES = """
import asyncio, importlib.util, json
for heavy in ("torch", "verl", "transformers", "ray"):
    assert importlib.util.find_spec(heavy) is None, heavy
from reward_fns.compute_score import compute_score
from reward_fns.adapters.trl import make_reward_func
import reward_fns.adapters.easyr1, reward_fns.adapters.openrlhf, reward_fns.adapters.swift
truth = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
right = "1. The digit is 7. I'm sure.\\nConfidence: 1.0"
info = {"question": "Which digit?"}
rules = {"expert": "oracle", "coefficients": "fixed"}
values = asyncio.run(compute_score("toy", right, truth, info, **rules))
reward = make_reward_func(**rules)
asked = {"data_source": ["toy"], "question": ["Which digit?"]}
one = reward(completions=[right], ground_truth=[truth], **asked)
print(values["score"], one)
"""


@pytest.mark.timeout(600)
def test_the_plain_wheel_in_a_fresh_environment_scores_and_its_trl_adapter_works(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = [*pip, "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(built, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = str(tmp_path / "env/bin/python")
    subprocess.run([*pip, "--python", python, "install", "-q", str(wheel)], check=True)
    run = subprocess.run([python, "-c", SCORES], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.strip() == "3.0 [3.0]"
