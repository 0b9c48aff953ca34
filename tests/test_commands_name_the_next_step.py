"""`python -m PACKAGE --help` of the four parts: it names commands that are there,
and the next step.
"""

import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("reward_fns", "data_prep", "eval", "recipe.difficulty_calib")
NEXT = {
    "reward_fns": "docs/tutorial.py",
    "data_prep": "examples/run_llava_grpo.sh",
    "eval": "eval/README.md",
    "recipe.difficulty_calib": "recipe/difficulty_calib/README.md",
}


@pytest.fixture(params=PARTS)
def shown(request, capsys, monkeypatch) -> tuple[str, str]:
    """A part, and its help on one line."""
    monkeypatch.setattr(sys, "argv", [request.param, "--help"])
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(request.param, run_name="__main__", alter_sys=True)
    assert not ended.value.code
    return request.param, " ".join(capsys.readouterr().out.split())


def test_each_command_that_is_named_can_be_run(shown):
    part, text = shown
    named = {name.rstrip(".") for name in re.findall(r"python -m ([\w.]+)", text)}
    assert named - {part} or part == "eval"  # whose commands are its own
    for name in named:
        spec = find_spec(name)
        assert spec, name
        if spec.submodule_search_locations:
            assert find_spec(f"{name}.__main__"), name


def test_the_next_step_is_named_and_there(shown):
    part, text = shown
    assert NEXT[part] in text and (ROOT / NEXT[part]).is_file()
