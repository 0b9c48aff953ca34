"""Every code block of the three READMEs that a user copies from: configuration up to a scored
sample, Python executed, experts made, command lines parsed by the parsers that they are for.

What a block leaves to its reader is given here: files that it names, a key, a server. A block that
is neither must be listed in `NOT_RUN` with the reason.
"""

import argparse
import ast
import asyncio
import inspect
import re
import runpy
import shlex
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from judge_server import JudgeServer
from rollouts import PNG, manager, rollout

from reward_fns.difficulty import coefficients, save_coefficients

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "reward_fns/README.md", "recipe/difficulty_calib/README.md")
NOT_RUN: dict[str, str] = {
    # a line of the block: why it cannot run here
    "from reward_fns.adapters": "run in its framework, by tests/reward_fns/adapters",
}
_SETTING = re.compile(r"^\+*[a-z_]\w*(\.\w+)+=")
_FORMULA = re.compile(r"^\S+\s+=\s")
_COMMAND = re.compile(r"^([A-Z]\w*=('[^']*'|\S*) )*(bash|python|torchrun) ")
_SERVER = "http://127.0.0.1:8000/v1"
"""The address of a server of the reader's, in READMEs."""


@dataclass(frozen=True)
class Block:
    readme: str
    line: int
    language: str  # of the fence; "" for an indented block
    text: str

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]

    @property
    def kind(self) -> str:
        if any(line in self.text for line in NOT_RUN):
            return "not run"
        if self.language:
            return self.language
        for kind, form in (("setting", _SETTING), ("command", _COMMAND), ("formula", _FORMULA)):
            if form.match(self.first):
                return kind
        # The format of an answer is shown as one.
        return "answer" if "\nConfidence: " in self.text else "unknown"


def blocks(readme: str) -> list[Block]:
    """Fenced blocks, and those that are indented by four blanks."""
    found: list[Block] = []
    lines = (ROOT / readme).read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("```"):
            end = lines.index("```", number + 1)
            found.append(Block(readme, number + 1, line[3:], "\n".join(lines[number + 1 : end])))
            number = end
        elif line.startswith("    ") and not lines[number - 1].strip():
            end = number
            while end < len(lines) and lines[end].startswith("    "):
                end += 1
            text = "\n".join(part[4:] for part in lines[number:end])
            found.append(Block(readme, number + 1, "", text))
            number = end
        number += 1
    return found


BLOCKS = [block for readme in READMES for block in blocks(readme)]


def of_kind(kind: str):
    chosen = [block for block in BLOCKS if block.kind == kind]
    return pytest.mark.parametrize("block", chosen, ids=[f"{b.readme}:{b.line}" for b in chosen])


def test_every_block_is_of_a_kind_that_is_tried_or_is_listed_with_a_reason():
    assert [block for block in BLOCKS if block.kind in ("unknown", "bash", "")] == []
    assert {block.kind for block in BLOCKS} >= {"setting", "command", "python", "yaml"}


@pytest.fixture
def judge(monkeypatch):
    """A judge where a README's experts look for one: at OpenAI's address,
    and on the reader's machine.
    """
    with JudgeServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A reader's own directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Configuration ------------------------------------------------------------------------------------


def settings_up_to(block: Block) -> list[str]:
    """A README's configuration lines go on from those before them."""
    lines = []
    for before in BLOCKS:
        if before.readme == block.readme and before.line <= block.line and before.kind == "setting":
            lines += [line.split("  #")[0].strip() for line in before.text.splitlines()]
    return lines


@pytest.fixture(scope="module")
def tokenizer():
    from verl.utils import hf_tokenizer

    return hf_tokenizer(str(ROOT / "data_prep/pocket/base_model"))


def unquoted(line: str) -> str:
    """A line as the shell hands it on."""
    return "".join(shlex.split(line))


@of_kind("setting")
def test_configuration_lines_work_on_verls_stock_configuration_up_to_a_scored_sample(
    block, judge, elsewhere, tokenizer
):
    from verl.experimental.reward_loop.reward_loop import migrate_legacy_reward_impl
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

    lines = settings_up_to(block)
    lines = [unquoted(line.replace(_SERVER, judge.url)) for line in lines]
    for name in re.findall(r"[\w-]+\.ya?ml", " ".join(lines)):
        save_coefficients(elsewhere / name, {"VQAv2": coefficients("VQAv2")})
    # The last line for a key wins, as on a command line that is edited.
    chosen = list({line.split("=")[0]: line for line in lines}.values())
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=[*chosen, "algorithm.adv_estimator=grpo"])
    config = migrate_legacy_reward_impl(config)
    trainer = get_trainer_cls(config.trainer.v1.trainer_mode)
    if trainer.__module__.startswith("recipe."):
        assert trainer(config).options

    async def scored():
        # Made in the loop that it runs in, as in verl's worker.
        return await manager(config, tokenizer).run_single(rollout(tokenizer))

    result = asyncio.run(scored())
    assert result["reward_extra_info"]["acc"] == 1.0
    assert result["reward_score"] > 0


# Python and YAML ----------------------------------------------------------------------------------


@of_kind("python")
def test_python_runs(block, judge, elsewhere):
    code = compile(
        block.text.replace(_SERVER, judge.url),
        f"{block.readme}:{block.line}",
        "exec",
        ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    running = eval(code, {"image": PNG, "__name__": "readme"})
    if inspect.iscoroutine(running):
        asyncio.run(running)


@of_kind("yaml")
def test_every_expert_line_makes_an_expert(block, judge, elsewhere, monkeypatch):
    from reward_fns.expert import AnswerRequest, make_expert
    from reward_fns.expert.oracle import OracleExpert

    mine = types.ModuleType("my_package.experts")
    mine.MyExpert = type("MyExpert", (OracleExpert,), {"__init__": lambda self, size: None})
    monkeypatch.setitem(sys.modules, "my_package.experts", mine)
    recorded = make_expert({"kind": "openai", "model": "judge", "cache": "verdicts"})
    asyncio.run(recorded.ask(AnswerRequest("Which?", "QA", ("It is 7.",), "It is 7.", "It is 7.")))
    lines = block.text.replace(_SERVER, judge.url).splitlines()
    experts = [yaml.safe_load(line)["expert"] for line in lines if line.startswith("expert:")]
    assert experts
    for options in experts:
        assert make_expert(options).name


# Commands -----------------------------------------------------------------------------------------


class _ParsedError(Exception):
    """The arguments were understood; nothing is done with them."""


def parsed(module: str, arguments: list[str], monkeypatch) -> None:
    """Hand a command line to the parser of `python -m module`, and stop there."""
    for name in ("parse_args", "parse_intermixed_args"):
        real = getattr(argparse.ArgumentParser, name)

        def parse(self, *given, _real=real, **named):
            _real(self, *given, **named)
            raise _ParsedError

        monkeypatch.setattr(argparse.ArgumentParser, name, parse)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with pytest.raises(_ParsedError):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def composed(arguments: list[str]) -> None:
    """Compose a Hydra command line."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    options = {name: value for name, value in options.items() if name.startswith("--config")}
    used = {*options, *options.values()}
    overrides = [argument for argument in arguments if argument not in used and argument != "..."]
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        assert compose(options["--config-name"], overrides=overrides)


@of_kind("command")
def test_every_command_line_is_one_that_its_program_understands(block, monkeypatch):
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        named = [words.pop(0).split("=")[0] for _ in range(len(words)) if "=" in words[0]]
        if words[0] == "bash":
            script = ROOT / words[1]
            assert subprocess.run(["bash", "-n", script]).returncode == 0
            assert [name for name in named if f"{name}" not in script.read_text()] == []
            continue
        module, *arguments = words[words.index("-m") + 1 :]
        if "--config-name" in arguments:
            composed(arguments)
        else:
            with monkeypatch.context() as patch:
                parsed(module, arguments, patch)
