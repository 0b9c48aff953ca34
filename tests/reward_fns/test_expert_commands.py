"""`python -m reward_fns.expert`: check, inspect, export, agreement; replay of what they write;
the factory.
"""

import asyncio
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from judge_server import JudgeServer

import reward_fns
from reward_fns.expert import AnswerRequest, AnswerVerdict, ExpertError, Source, make_expert
from reward_fns.expert.__main__ import main
from reward_fns.expert.commands.check import red_square
from reward_fns.expert.keeping.cache import CachedExpert
from reward_fns.expert.serving.served import OpenAIExpert

TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
REQUESTS = [
    AnswerRequest(f"q{i}", "QA", ("The digit is 7.", "It is red."), "It is a 7.", TRUTH)
    for i in range(3)
]


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running


def ask(config, requests=REQUESTS):
    expert = make_expert(config)

    async def at_once():
        return await asyncio.gather(*map(expert.ask, requests))

    return asyncio.run(at_once())


def config(server, **options):
    return {"kind": "openai", "model": "judge", "base_url": server.url} | options


def test_a_cache_is_inspected_exported_and_replayed_without_a_server(server, tmp_path, capsys):
    cache, file = tmp_path / "cache", tmp_path / "verdicts.jsonl"
    paid = ask(config(server, cache=str(cache), prices={"judge": {"input": 10, "output": 0}}))
    assert main(["inspect", str(cache)]) == 0
    printed = capsys.readouterr().out
    # Three calls of 100 + 10 tokens at 10 dollars a million tokens of input: 0.003 dollars.
    assert printed.startswith("3 verdicts from ") and "0.00 USD" in printed
    assert "calls 3, prompt_tokens 300, completion_tokens 30" in printed
    assert "asked of judge, answered by judge-2026" in printed
    assert main(["export", str(cache), str(file)]) == 0
    assert len(file.read_text().splitlines()) == 3
    calls = server.total
    for recorded in (cache, file):
        replayed = ask({"kind": "replay", "recorded": str(recorded), "model": "judge"})
        assert [verdict.claim_labels for verdict in replayed] == [
            verdict.claim_labels for verdict in paid
        ]
        assert all(
            verdict.source.cached and verdict.source.model == "judge-2026" for verdict in replayed
        )
    assert server.total == calls
    with pytest.raises(ExpertError, match="holds no verdict on 'other'"):
        ask({"kind": "replay", "recorded": str(file)}, [AnswerRequest("other", "QA", ("a",), "a")])
    with pytest.raises(ValueError, match="holds no verdict of nobody; judges there: .'judge'."):
        make_expert({"kind": "replay", "recorded": str(file), "model": "nobody"})


def test_check_says_what_works_and_what_the_judge_makes_of_a_red_square(server, capsys):
    server.reply = lambda prompt: {"claims": [1, 0], "overall": 1} if "claims" in prompt else "OK"
    assert main(["check", "--expert", json.dumps(config(server))]) == 0
    lines = dict(
        line.split(maxsplit=1)
        for line in capsys.readouterr().out.replace(" schema", "-schema").splitlines()[:-2]
    )
    assert lines["text"].startswith("works") and "model judge-2026" in lines["text"]
    assert lines["image"].startswith("works")
    assert lines["json-schema"].startswith("works") and lines["json-schema"].endswith(
        "readable, and right"
    )
    assert lines["logprobs"].startswith("FAILS")


def test_check_of_a_server_that_is_down_fails(capsys):
    expert = "{kind: openai, model: judge, base_url: 'http://127.0.0.1:9/v1'}"
    assert main(["check", "--expert", expert]) == 1
    assert capsys.readouterr().out.count("FAILS") == 8


def test_its_image_is_red():
    image = pytest.importorskip("PIL.Image")
    from io import BytesIO

    assert image.open(BytesIO(red_square(4))).convert("RGB").getcolors() == [(16, (255, 0, 0))]


def test_agreement_of_the_two_modes_is_measured_from_a_file(server, tmp_path, capsys):
    (tmp_path / "red.png").write_bytes(red_square())
    records = [
        {
            "question": r.question,
            "task": "QA",
            "claims": list(r.claims),
            "ground_truth": TRUTH,
            "image": "red.png",
        }
        for r in REQUESTS
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert main(["agreement", str(file), "--expert", json.dumps(config(server))]) == 0
    printed = capsys.readouterr().out
    assert (
        "answers 3, failed 0, claims 6" in printed
        and "equal labels 1.0000, Cohen's kappa 1.0000" in printed
    )
    assert "one_call: 3 asked, 3 calls" in printed and "per_claim: 9 asked, 9 calls" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere"], "no recorded verdicts in nowhere"),
        (["check", "--expert", "{kind: oracle}"], "check tries an expert of kind openai"),
        (["check", "--expert", "["], "the expert is no YAML"),
        (
            ["agreement", "nowhere.jsonl", "--expert", "{kind: openai, model: m}"],
            "no file nowhere.jsonl",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message, capsys):
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: {message}") and told.count("\n") == 1


def test_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "reward_fns.expert", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "agreement" in done.stdout


class OwnExpert:
    """What a user may plug in by its dotted path."""

    name = "own"

    def __init__(self, overall):
        self.overall = overall

    def prompt_version(self, request):
        return "1"

    async def ask(self, request):
        return AnswerVerdict((1,) * len(request.claims), self.overall, Source("own"))


def test_an_expert_of_one_s_own_is_named_by_its_path_and_cached(tmp_path, monkeypatch):
    (tmp_path / "own_expert.py").write_text("from test_own import OwnExpert as Expert\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "test_own", sys.modules[__name__])
    own = {"kind": "own_expert:Expert", "overall": 1.0, "cache": str(tmp_path / "cache")}
    assert isinstance(make_expert(own), CachedExpert)
    assert [verdict.overall for verdict in ask(own)] == [1.0] * 3
    assert all(verdict.source.cached for verdict in ask(own))
    with pytest.raises(ValueError, match="no expert 'own_expert:Nobody'"):
        make_expert({"kind": "own_expert:Nobody"})


@pytest.mark.parametrize(
    "wrong",
    [
        "human",
        {},
        {"kind": "openai"},
        {"kind": "oracle", "model": "x"},
        {"kind": "openai", "model": "m", "mode": "two"},
    ]
    + [
        {"kind": "openai", "model": "m", "timeout": 0},
        {"kind": "openai", "model": "m", "lease": 0},
    ],
)
def test_a_wrong_configuration_is_an_error_that_names_what_is_wrong(wrong):
    with pytest.raises(ValueError, match="oracle|openai|mode|timeout|lease"):
        make_expert(wrong)


def test_the_readme_names_every_option():
    readme = (Path(reward_fns.__file__).parent / "README.md").read_text()
    table = readme.partition("Options of `openai`:")[2].partition("**Nothing twice.**")[0]
    named = set(
        re.findall(
            r"`(\w+)`",
            "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|")),
        )
    )
    taken = {
        *inspect.signature(OpenAIExpert).parameters,
        *inspect.signature(CachedExpert).parameters,
        "mode",
        "cache",
    }
    # What the factory fills in is no option.
    assert named == taken - {"limits_directory", "expert", "directory"}
