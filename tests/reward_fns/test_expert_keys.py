"""Keys go to whom they are for, one refusal does not end a run,
and a configuration calls experts alone.
"""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from servers.judge_server import JudgeServer

from data_prep.engines.openai_server import OpenAIEngine
from reward_fns.expert import AnswerRequest, ExpertError, FatalExpertError, make_expert
from reward_fns.expert.prompting.quoting import quoted
from reward_fns.expert.prompting.values import question, texts
from reward_fns.expert.serving.addresses import is_openai, key_variable, without_password
from reward_fns.expert.serving.completions import MOST_TOKENS, _count
from reward_fns.expert.serving.redaction import without
from reward_fns.expert.serving.retry import retry_after_seconds

KEY = "sk-the-real-one"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})


def request(number=0):
    claim = f"The digit is {number}."
    return AnswerRequest("Which digit?", "QA", (claim,), claim, TRUTH)


@pytest.fixture
def overheard(monkeypatch):
    """Address of a server that refuses everybody, and the keys that it was shown."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("JUDGE_KEY", "its own")
    keys = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["Authorization"].removeprefix("Bearer "))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", keys
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("option", "sent"), [({}, "none"), ({"api_key_env": "JUDGE_KEY"}, "its own")]
)
def test_another_server_never_sees_the_key_for_openai(overheard, option, sent):
    url, keys = overheard
    expert = make_expert({"kind": "openai", "model": "judge", "base_url": url, **option})
    remedy = "JUDGE_KEY" if option else "api_key_env"
    with pytest.raises(FatalExpertError, match=remedy):
        asyncio.run(expert.ask(request()))
    assert keys == [sent]


def test_an_address_from_the_environment_is_no_reason_to_send_it_the_key(overheard, monkeypatch):
    """The client goes to OPENAI_BASE_URL where no base_url is given,
    with whatever key it is handed.
    """
    url, keys = overheard
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    for option in ({}, {"api_key_env": "OPENAI_API_KEY"}):
        expert = make_expert({"kind": "openai", "model": "judge", **option})
        with pytest.raises(FatalExpertError):
            asyncio.run(expert.ask(request()))
    assert keys == ["none", KEY]
    with OpenAIEngine("model") as engine:
        assert engine._client.api_key == "no-key"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://eu.api.openai.com/v1")
    assert key_variable(None, None) == "OPENAI_API_KEY"


def test_an_engines_fingerprint_which_stands_in_every_record_holds_no_password():
    engine = OpenAIEngine("model", "http://me:secret@127.0.0.1:1/v1")
    assert engine.fingerprint == "model at http://127.0.0.1:1/v1"


def test_the_engine_keeps_to_the_same_rule(overheard):
    url, _ = overheard
    for option, sent in (({}, "no-key"), ({"api_key_env": "JUDGE_KEY"}, "its own")):
        with OpenAIEngine("model", url, **option) as engine:
            assert engine._client.api_key == sent


@pytest.mark.parametrize(
    ("url", "own"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://mine.openai.azure.com/openai/v1", True),
        ("http://api.openai.com/v1", False),  # anybody on the way could read it
        ("https://api.openai.com.example.org/v1", False),
        ("https://notopenai.com/v1", False),
        ("http://127.0.0.1:8000/v1", False),
    ],
)
def test_whose_servers_are_openais(url, own):
    assert is_openai(url) is own
    assert key_variable(None, url) == ("OPENAI_API_KEY" if own else None)


def test_a_message_holds_no_key_wherever_it_stands_and_no_password():
    said = without('keysk"1glued, escaped sk\\"1, seven is 7, 77', ["7"], ['sk"1'])
    assert said == "key[...]glued, escaped [...], seven is [...], 77"
    with JudgeServer(faults={"404": 1.0}) as server:
        assert without_password("http://me:p@ss/w@judge/v1") == "http://judge/v1"
        address = server.url.replace("http://", "http://me:secret@")
        expert = make_expert({"kind": "openai", "model": "judge", "base_url": address})
        with pytest.raises(FatalExpertError) as raised:
            asyncio.run(expert.ask(request()))
    assert "secret" not in str(raised.value) and "127.0.0.1" in str(raised.value)


@pytest.mark.parametrize("fault", ["401", "403", "404"])
def test_one_request_that_is_turned_away_after_answers_fails_alone(fault):
    with JudgeServer(faults={fault: 0.2}, seed=2) as server:
        expert = make_expert(
            {"kind": "openai", "model": "judge", "base_url": server.url, "concurrency": 1}
        )

        async def all_of_them():
            asked = (expert.ask(request(number)) for number in range(60))
            return await asyncio.gather(*asked, return_exceptions=True)

        outcomes = asyncio.run(all_of_them())
        turned_away = [one for one in outcomes if isinstance(one, ExpertError)]
        assert len(turned_away) == server.calls[fault] > 4
        assert not any(isinstance(one, FatalExpertError) for one in turned_away)


def test_a_key_that_has_died_ends_the_run():
    with JudgeServer() as server:
        expert = make_expert(
            {"kind": "openai", "model": "judge", "base_url": server.url, "concurrency": 1}
        )

        async def all_of_them():
            await expert.ask(request())
            server.faults = {"403": 1.0}
            asked = (expert.ask(request(number)) for number in range(1, 30))
            return await asyncio.gather(*asked, return_exceptions=True)

        outcomes = asyncio.run(all_of_them())
        assert server.calls["403"] == 5
        assert [isinstance(one, FatalExpertError) for one in outcomes] == [False] * 4 + [True] * 25


def test_a_configuration_calls_experts_alone():
    for kind in ("os:system", "json:JSONDecoder", "builtins:print"):
        with pytest.raises(ValueError, match="no expert: it must name a class with a method ask"):
            make_expert({"kind": kind})


def test_what_is_not_seen_is_shown_escaped():
    # a tag character, a zero-width space, a word joiner, a byte order mark;
    # a heart without its variation selector
    assert quoted("a\U000e0041b") == '"a\\udb40\\udc41b"'
    assert quoted("a\u200bb\u2060\ufeff\u00ad") == '"a\\u200bb\\u2060\\ufeff\\u00ad"'
    assert json.loads(quoted("a\U000e0041\u200b\u2764")) == "a\U000e0041\u200b\u2764"


def test_half_of_a_surrogate_pair_is_no_text_of_a_judge():
    """Kept, it would end the step that writes it,
    and the cache would give it again at each rerun.
    """
    half = json.loads('"a\\ud800"')
    for read, value in ((texts, ["fine", half]), (question, half)):
        with pytest.raises(ValueError, match="not valid Unicode"):
            read(value)
    assert texts(["Žižkov \U0001f5fc"]) == ("Žižkov \U0001f5fc",)


@pytest.mark.parametrize(
    "header", ["", "soon", "Wed, 21 Oct 99999 07:28:30 GMT", "Wed, 99 Oct", "nan", "1e999", "inf"]
)
def test_a_retry_after_that_says_nothing_is_none(header):
    assert retry_after_seconds(header) is None


def test_a_token_count_that_no_call_takes_is_none():
    assert [_count(value) for value in (5, MOST_TOKENS, 10**15, True, -1, 5.0, "5", None)] == [
        5, MOST_TOKENS, 0, 0, 0, 0, 0, 0,
    ]  # fmt: skip


def test_a_proxy_in_the_way_of_a_judge_on_loopback_is_named(monkeypatch):
    for name in ("http_proxy", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:9")
    with JudgeServer() as server:
        options = {"kind": "openai", "model": "judge", "base_url": server.url, "max_retries": 0}
        with pytest.raises(ExpertError) as raised:
            asyncio.run(make_expert(options).ask(request()))
        said = str(raised.value)
        assert f"at {server.url} is not reachable" in said
        assert "proxy http://127.0.0.1:9 of HTTP_PROXY" in said and "NO_PROXY=127.0.0.1" in said
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert asyncio.run(make_expert(options).ask(request())).overall == 0
