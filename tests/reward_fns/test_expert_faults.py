"""Every fault of a server, alone and mixed:
a request ends in one verdict or in one counted failure.
"""

import asyncio
import json
import logging

import pytest
from fault_run import problems, run
from judge_server import JudgeServer

from reward_fns.expert import AnswerRequest, ExpertError, FatalExpertError, make_expert

KEY = "sk-fault-0123456789"
SECRET = "xq-reference-of-the-test"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7.", SECRET]})


def request(number=0):
    claims = ("The digit is 7.", f"The digit is {number + 10}.")
    return AnswerRequest("Which digit?", "QA", claims, "\n".join(claims), TRUTH)


@pytest.fixture
def ask(monkeypatch):
    """Asks n requests at once of an expert behind a server; gives the expert and the outcomes."""
    monkeypatch.setenv("JUDGE_KEY", KEY)

    def asked(server, n=1, **options):
        defaults = {"backoff": 0.001, "timeout": 20.0, "api_key_env": "JUDGE_KEY"}
        expert = make_expert(
            {"kind": "openai", "model": "judge", "base_url": server.url} | defaults | options
        )

        async def at_once():
            return await asyncio.gather(
                *(expert.ask(request(i)) for i in range(n)), return_exceptions=True
            )

        return expert, asyncio.run(at_once())

    return asked


def test_a_fault_run_with_a_killed_worker_loses_nothing_and_pays_for_nothing_twice(tmp_path):
    found = run(120, tmp_path, timeout=3.0)
    assert problems(found) == []
    # The run had what it is about: a kill in the middle,
    # and verdicts taken from the dead worker's cache.
    had = len(found["killed"])
    assert 0 < had < found["parts"]["first"][1]
    assert found["totals"]["first"]["cache_hits"] >= had * 0.9


RETRIED = {
    "429": "429",
    "429 retry-after": "429",
    "500": "5xx",
    "503": "5xx",
    "408": "408",
    "drop": "connection",
    "malformed": "malformed",
    "wrong shape": "unreadable",
}


@pytest.mark.parametrize("fault", RETRIED)
def test_a_passing_fault_is_tried_again_and_counted_by_its_reason(ask, fault):
    with JudgeServer(faults={fault: 0.5}, seed=1) as server:
        expert, verdicts = ask(server, 8, max_retries=30)
        assert [verdict.claim_labels for verdict in verdicts] == [(1, 0)] * 8
        assert (
            expert.stats.retries == {RETRIED[fault]: server.calls[fault]}
            and server.calls[fault] > 0
        )
        assert expert.stats.calls == server.total
        assert sum(verdict.source.usage.retries for verdict in verdicts) == server.calls[fault]


@pytest.mark.parametrize("fault", [*RETRIED, "timeout"])
def test_a_fault_that_stays_is_one_failure_after_the_last_retry_and_shows_no_secret(
    ask, fault, caplog
):
    caplog.set_level(logging.DEBUG, "reward_fns")
    with JudgeServer(faults={fault: 1.0}, hang=5.0) as server:
        timeout = 0.3 if fault == "timeout" else 20.0
        expert, [error] = ask(server, max_retries=2, timeout=timeout)
        assert type(error).__mro__[1] is ExpertError and error.reason == RETRIED.get(
            fault, "timeout"
        )
        assert (expert.stats.failures.total(), expert.stats.calls, server.total) == (1, 3, 3)
        for text in (str(error), repr(error), caplog.text, repr(error.__cause__)):
            assert KEY not in text and SECRET not in text


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("401", "refuses the key.*JUDGE_KEY"),
        ("403", "refuses the key.*JUDGE_KEY"),
        ("404", "mend the expert's model"),
    ],
)
def test_a_bad_key_or_an_unknown_model_ends_the_run_at_once(ask, fault, remedy):
    with JudgeServer(faults={fault: 1.0}) as server:
        expert, errors = ask(server, 40, concurrency=4)
        for error in errors:
            assert isinstance(error, FatalExpertError)
            assert KEY not in str(error) and SECRET not in str(error)
            with pytest.raises(FatalExpertError, match=remedy):
                raise error
        # Those that were on their way; nothing was sent after the first refusal came back.
        assert server.total <= 4
        assert expert.stats.failures.total() == 40


def test_a_refused_request_fails_alone_once_the_server_has_answered_another(ask):
    with JudgeServer(faults={"400": 0.5}, seed=3) as server:
        expert, outcomes = ask(server, 40, concurrency=1)
        refused = [error for error in outcomes if isinstance(error, ExpertError)]
        assert len(refused) == server.calls["400"] > 8
        assert all(
            error.reason == "refused" and not isinstance(error, FatalExpertError)
            for error in refused
        )
        assert expert.stats.retries.total() == 0


def test_a_server_that_refuses_everything_ends_the_run(ask):
    with JudgeServer(faults={"400": 1.0}) as server:
        _, errors = ask(server, 40, concurrency=1)
        assert [isinstance(error, FatalExpertError) for error in errors] == [False] * 7 + [
            True
        ] * 33
        assert "reward_fns.expert check" in str(errors[-1])
        assert server.total == 8


def test_no_secret_is_kept_on_disk(ask, tmp_path):
    with JudgeServer(faults={"500": 0.3}) as server:
        ask(server, 20, cache=str(tmp_path / "cache"), max_calls=1000)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"The digit is 7." in kept  # the search finds what is there
    assert KEY.encode() not in kept and SECRET.encode() not in kept
