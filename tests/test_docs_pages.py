"""The pages of docs/, executed: a page's blocks run in its order, in one folder and one namespace.

A Python or YAML block whose first line is a comment with a file's name is written to that file.
Other YAML is an expert's line. Indented blocks are command lines, which run, or settings of verl,
which are composed.
"""

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module

from reward_fns.expert import make_expert

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("own_*.md"))
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)((?: {4}\S.*\n)+)")
_FILE = re.compile(r"# (\S+\.(?:py|yaml))\n")


def blocks(page: Path) -> list[tuple[str, str]]:
    """(kind, text) of a page's blocks in their order; kind is a fence's language, or "shell"."""
    text = page.read_text(encoding="utf-8")
    found = [(match.start(), match[1], match[2]) for match in _FENCED.finditer(text)]
    outside = _FENCED.sub(lambda match: re.sub(r"\S", "x", match[0]), text)
    for match in _INDENTED.finditer(outside):
        if not match[1].lstrip().startswith("x"):
            found.append((match.start(), "shell", re.sub("(?m)^ {4}", "", match[1])))
    return [(kind, content) for _, kind, content in sorted(found)]


def run_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m module ...`, in this process."""
    python, dash_m, module, *arguments = shlex.split(line)
    assert (python, dash_m) == ("python", "-m"), line
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not ended.value.code, line


def compose_settings(lines: list[str]) -> None:
    """Settings on top of verl's own configuration."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        assert compose("ppo_trainer", overrides=lines)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A reader's own folder, whose modules can be imported; none is left to the next page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in ("data_prep.datasets.DATASETS", "eval.protocols.PROTOCOLS"):
        module, _, name = registry.rpartition(".")
        __import__(module)
        monkeypatch.setattr(registry, dict(getattr(sys.modules[module], name)))
    from reward_fns import scoring

    rules = dict(scoring.RULES)
    yield tmp_path
    scoring.RULES.clear()
    scoring.RULES.update(rules)
    for name in ("word_expert", "my_rules", "weakest_claim"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_pages_blocks_run_in_their_order(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = {"__name__": page.stem}
    for kind, text in blocks(page):
        file = _FILE.match(text)
        if file:
            (folder / file[1]).write_text(text, encoding="utf-8")
        elif kind == "python":
            exec(compile(text, page.name, "exec"), namespace)
        elif kind == "yaml":
            assert make_expert(yaml.safe_load(text)["expert"]).name
        elif text.startswith("python"):
            for line in text.splitlines():
                run_command(line, monkeypatch)
        else:
            compose_settings(text.splitlines())


def test_each_page_has_blocks_of_the_kinds_it_is_made_of() -> None:
    kinds = {page.stem: {kind for kind, _ in blocks(page)} for page in PAGES}
    assert kinds == {
        "own_dataset": {"python", "yaml", "shell"},
        "own_expert": {"python", "yaml"},
        "own_protocol": {"python"},
        "own_reward_rule": {"python", "shell"},
    }


def test_every_page_stands_in_the_list_and_its_links_lead_somewhere() -> None:
    listed = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in (*PAGES, DOCS / "tutorial.py"):
        assert f"({page.name})" in listed
    for page in (*DOCS.glob("*.md"), DOCS / "tutorial.py"):
        prose = _FENCED.sub("", page.read_text(encoding="utf-8"))
        for link in re.findall(r"\]\(([^)#]+)", prose):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_tutorial_shows_an_over_confident_answerer_mended(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "tutorial.py"],
        env={"PYTHONPATH": str(ROOT), "TUTORIAL_OUT": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # One of two claims right, both tags honest, o = 0.7 of a wrong answer:
    # paper 1/2 + 1 + 0.8 - 0.7, proper 1/2 + 1 + 1 - 0.49.
    assert "paper   1.60" in done.stdout and "proper  2.01" in done.stdout
    before, after = (float(value) for value in re.findall(r"ECE (0\.\d+)", done.stdout))
    # It says (1 + p) / 2 with p uniform in [0.2, 0.9]: over-confident by (1 - 0.55) / 2 = 0.225.
    assert before == pytest.approx(0.225, abs=0.06)
    assert after < before / 2
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
