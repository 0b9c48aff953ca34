"""What our code imports from vllm, verl, transformers and torch is there in the locks' versions.

The names were held against the wheels' files by `requirements/imported_names.py`, the CUDA wheel
of vLLM among them; here only against the list that it wrote.
"""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "requirements"))

import imported_names  # noqa: E402
from imported_names import LIST, PACKAGES, Wheels, names_in, ours  # noqa: E402

LINES = LIST.read_text(encoding="utf-8").splitlines()
CHECKED = {line for line in LINES if not line.startswith("#")}
VERSIONS = {line.split("==")[0][2:]: line.split("==")[1] for line in LINES if "==" in line}


def test_nothing_is_imported_that_was_not_held_against_the_gpu_wheels():
    new = {f"{module} {name}".rstrip() for module, name in ours()} - CHECKED
    assert not new, f"{sorted(new)}: run `python requirements/imported_names.py --write`"


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_list_is_of_the_locked_versions(device):
    text = (ROOT / "requirements" / f"{device}.txt").read_text(encoding="utf-8")
    pins = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    found = {
        package: next(pins[name] for name in names if name in pins)
        for package, names in PACKAGES.items()
    }
    assert found == VERSIONS


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("from vllm.exceptions import VLLMClientError", {("vllm.exceptions", "VLLMClientError")}),
        ("def f():\n    import vllm\n    vllm.LLM()", {("vllm", ""), ("vllm", "LLM")}),
        ("import torch\ntorch.zeros(1)", {("torch", "")}),
        ("run('-m', 'verl.model_merger')", {("verl.model_merger", "")}),
        (
            "def _apply(module):\n    module.f = 1\nPatch(module='verl.a', apply=_apply)",
            {("verl.a", ""), ("verl.a", "f")},
        ),
        ("from .torch import x\nfrom torchmetrics import y\n'verl is a text.'", set()),
    ],
)
def test_names_are_found_in_every_form(text, taken):
    assert set(names_in(text)) == taken


PACKAGE = {
    "vllm/__init__.py": "from .extra import *\nLAZY = {'LLM': '.entrypoints'}\n",
    "vllm/extra.py": "try:\n    import fast as quick\nexcept ImportError:\n    quick = None\n",
    "vllm/exceptions.py": "class VLLMError(Exception):\n    INSIDE = 1\n",
}


@pytest.mark.parametrize(
    ("module", "name", "there"),
    [
        ("vllm", "LLM", True),  # in a lazy loader's table
        ("vllm", "quick", True),  # through a star, out of a try
        ("vllm", "exceptions", True),  # a submodule
        ("vllm.exceptions", "VLLMError", True),
        ("vllm.exceptions", "VLLMClientError", False),  # as in vLLM 0.24.0
        ("vllm.exceptions", "INSIDE", False),
        ("vllm.absent", "", False),
    ],
)
def test_a_name_is_found_in_unpacked_files_or_missed(tmp_path, module, name, there):
    for file, text in PACKAGE.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert Wheels([tmp_path]).has(module, name) is there


def test_a_missing_name_ends_the_script_with_1_and_leaves_the_list(monkeypatch, capsys):
    monkeypatch.setattr(imported_names, "ours", lambda: {("vllm", "Nothing")})
    monkeypatch.setattr(sys, "argv", ["imported_names.py", "--write"])
    before = LIST.read_bytes()
    assert imported_names.main() == 1
    assert "missing: vllm Nothing" in capsys.readouterr().out
    assert LIST.read_bytes() == before


def test_the_verl_that_is_accepted_is_the_locked_one():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = [line.strip(' ",') for line in text.splitlines() if line.startswith('    "verl')]
    assert Requirement(line).specifier.contains(VERSIONS["verl"])
