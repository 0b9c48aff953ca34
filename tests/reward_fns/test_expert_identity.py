"""Who judges: a verdict is that of one model on one server by one set of parameters."""

import asyncio
import base64
import json
import logging

import pytest
from diskcache_left import OLD, of_diskcache
from judge_server import JudgeServer

from reward_fns.expert import ExpertError, make_expert, stats_of
from reward_fns.expert.__main__ import main
from reward_fns.expert.serving.addresses import server_of
from reward_fns.reward import expert_for


@pytest.fixture
def servers():
    """Two judges of one name, of which the second finds everything wrong."""
    with JudgeServer() as right, JudgeServer() as wrong:
        wrong.reply = lambda prompt: {"claims": [0], "overall": 0}
        yield right, wrong


def verdicts(judge, cache, **options):
    config = {"kind": "openai", "model": "judge", "base_url": judge.url, "cache": str(cache)}
    expert = make_expert(config | {"max_retries": 0} | options)

    async def at_once():
        return await asyncio.gather(*map(expert.ask, OLD))

    return [verdict.overall for verdict in asyncio.run(at_once())], stats_of(expert).cache_hits


RIGHT, WRONG = [1.0] * 3, [0.0] * 3


def test_one_server_does_not_answer_with_another_s_verdicts(servers, tmp_path, caplog):
    right, wrong = servers
    assert verdicts(right, tmp_path) == (RIGHT, 0)
    assert verdicts(wrong, tmp_path) == (WRONG, 0)
    assert f"given by {right.url} with" in caplog.text and f"this one is {wrong.url}" in caplog.text
    assert (verdicts(right, tmp_path), verdicts(wrong, tmp_path)) == ((RIGHT, 3), (WRONG, 3))


@pytest.mark.parametrize(
    "change",
    [{"parameters": {"temperature": 0.7}}, {"parameters": {"seed": 1}}, {"json_schema": False}],
)
def test_other_parameters_are_another_judge(servers, tmp_path, change, caplog):
    assert verdicts(servers[0], tmp_path) == (RIGHT, 0)
    assert verdicts(servers[0], tmp_path, **change) == (RIGHT, 0)
    assert "which is asked anew" in caplog.text


def test_what_changes_no_verdict_pays_for_none(servers, tmp_path, caplog):
    right, _ = servers
    verdicts(right, tmp_path, parameters={"seed": 1, "max_tokens": 9})
    for same in (
        {"timeout": 5, "lease": 9, "prices": {"judge": {"input": 1}}},
        {"base_url": right.url + "/"},
        {"base_url": right.url.replace("//", "//me:secret@")},
        {"parameters": {"max_tokens": 9.0, "temperature": 0.0, "seed": 1}},
    ):
        assert verdicts(right, tmp_path, **{"parameters": {"max_tokens": 9, "seed": 1}} | same) == (
            RIGHT,
            3,
        )
    assert not caplog.text


def test_a_judge_that_moves_is_named_by_the_user(servers, tmp_path, caplog):
    right, moved = servers
    verdicts(right, tmp_path, server="ours")
    assert verdicts(moved, tmp_path, server="ours") == (RIGHT, 3)
    # Also where its first verdicts were kept by its address.
    verdicts(right, tmp_path / "second")
    assert verdicts(moved, tmp_path / "second", server=right.url) == (RIGHT, 3)
    assert not caplog.text


def test_verdicts_from_before_servers_were_told_apart_are_the_first_asker_s_alone(
    servers, tmp_path, caplog
):
    right, wrong = servers
    cache = of_diskcache(tmp_path)
    assert verdicts(right, cache) == (RIGHT, 3)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and "from before servers and parameters were told apart" in told[0]
    assert f"taken as given by {right.url}" in told[0]
    caplog.clear()
    assert verdicts(wrong, cache) == (WRONG, 0)
    # Once: from now on they are told apart.
    assert verdicts(right, cache) == (RIGHT, 3)
    assert right.total == 0 and "from before" not in caplog.text


def test_inspect_says_who_judged_and_replay_chooses(servers, tmp_path, capsys):
    right, wrong = servers
    cache, file = of_diskcache(tmp_path / "cache"), tmp_path / "verdicts.jsonl"
    main(["inspect", str(cache)])
    assert "at a server that is not recorded" in capsys.readouterr().out
    verdicts(right, cache)
    verdicts(wrong, cache, parameters={"seed": 1})
    main(["inspect", str(cache)])
    printed = capsys.readouterr().out
    options = '"json_schema": true, "parameters": {"temperature": 0}'
    assert f"at {right.url} with {{{options}}}" in printed
    assert f"at {wrong.url} with" in printed and "not recorded" not in printed
    main(["export", str(cache), str(file)])
    for recorded in (cache, file):
        replay = {"kind": "replay", "recorded": str(recorded)}
        for server, overall in ((right, 1.0), (wrong, 0.0)):
            expert = make_expert(replay | {"server": server.url})
            assert asyncio.run(expert.ask(OLD[0])).overall == overall
        with pytest.raises(ValueError, match=r"holds no verdict at elsewhere; judges there: \['ju"):
            make_expert(replay | {"server": "elsewhere"})


def test_a_password_of_the_environment_is_sent_and_no_part_of_who_judges(monkeypatch):
    """Its configuration, which verl logs, names the variable alone."""
    password = "se/c@ret:1"
    monkeypatch.setenv("JUDGE_PASSWORD", password)
    with JudgeServer(reply=lambda prompt: {"claims": [1], "overall": 1}) as server:
        named = {"base_url": server.url.replace("://", "://me@"), "password_env": "JUDGE_PASSWORD"}
        expert = make_expert({"kind": "openai", "model": "judge", **named})
        asyncio.run(expert.ask(OLD[0]))
        sent = server.headers[-1]["authorization"]
    assert sent == "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
    plain = make_expert({"kind": "openai", "model": "judge", "base_url": server.url})
    assert expert.identity == plain.identity


def test_secret_parameters_of_the_environment_are_sent_and_no_part_of_who_judges(
    monkeypatch, tmp_path, caplog
):
    monkeypatch.setenv("TENANT_TOKEN", "c4n4ry")
    secret = {"parameters_env": {"tenant": {"token": "TENANT_TOKEN"}}}
    with JudgeServer() as server:
        server.keep_bodies = True
        given = {"parameters": {"tenant": {"name": "us"}}}
        assert verdicts(server, tmp_path, **given | secret) == (RIGHT, 0)
        sent = server.bodies[-1]
        # Another token is the same judge; what it is told beside is not.
        monkeypatch.setenv("TENANT_TOKEN", "another")
        assert verdicts(server, tmp_path, **given | secret) == (RIGHT, 3)
        assert verdicts(server, tmp_path, **secret) == (RIGHT, 0)
    assert sent["tenant"] == {"name": "us", "token": "c4n4ry"}
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"c4n4ry" not in kept and "c4n4ry" not in caplog.text


def test_a_short_secret_parameter_stands_in_no_message(monkeypatch):
    """A server may echo what it was sent."""
    monkeypatch.setenv("TENANT_TOKEN", "c4n4ry")
    with JudgeServer(refuses={"tenant": "no c4n4ry here"}) as server:
        config = {"kind": "openai", "model": "judge", "base_url": server.url}
        expert = make_expert(config | {"parameters_env": {"tenant": "TENANT_TOKEN"}})
        with pytest.raises(ExpertError, match=r"no \[...\] here"):
            asyncio.run(expert.ask(OLD[0]))


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ({"seed": "TENANT_TOKEN"}, "both give seed"),
        ({"tenant": "NOT_SET"}, "variable of parameters_env.tenant is not set"),
        ({"tenant": {"token": "se/cret"}}, "^parameters_env.tenant.token must name an environment"),
        ({"tenant": 5}, "^parameters_env.tenant must name an environment variable$"),
    ],
)
def test_variables_that_cannot_be_had_are_named(monkeypatch, named, why):
    monkeypatch.setenv("TENANT_TOKEN", "c4n4ry")
    with pytest.raises(ValueError, match=why):
        make_expert(
            {"kind": "openai", "model": "judge", "parameters": {"seed": 1}, "parameters_env": named}
        )


def test_a_password_in_an_address_is_kept_nowhere(servers, tmp_path, capsys, caplog):
    url = servers[0].url.replace("//", "//me:c4n4ry@")
    with caplog.at_level(logging.DEBUG, logger="reward_fns"):
        verdicts(servers[0], tmp_path, base_url=url)
        verdicts(servers[1], tmp_path)
    main(["inspect", str(tmp_path)])
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"c4n4ry" not in kept
    assert "c4n4ry" not in caplog.text + capsys.readouterr().out


def test_an_address_is_written_in_one_way(monkeypatch):
    assert server_of(None) == "https://api.openai.com/v1" == server_of("https://API.openai.com/v1/")
    # The client takes it where no address is given.
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    assert server_of(None) == "http://elsewhere/v1"


def test_the_model_that_verl_serves_keeps_its_verdicts_though_its_port_changes():
    config = {"kind": "openai", "model": "judge"}
    first, second = (expert_for(config, f"127.0.0.1:{port}") for port in (8001, 8002))
    assert first.identity == second.identity and first.identity["server"] == "verl"
    named = expert_for(config | {"server": "ours"}, "127.0.0.1:8001")
    assert named.identity["server"] == "ours"
    assert json.dumps(named.identity)
