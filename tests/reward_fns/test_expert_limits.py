"""Limits: requests at once, rates, a budget that ends the run;
what processes share through the cache's directory.
"""

import asyncio
import json
import time

import pytest
from judge_server import JudgeServer

from reward_fns.expert import AnswerRequest, BudgetExhausted, make_expert, stats_of
from reward_fns.expert.serving.limits import Limits
from reward_fns.expert.stats import price_of

TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})


def requests(n):
    return [
        AnswerRequest(f"q{i}", "QA", ("The digit is 7.",), "The digit is 7.", TRUTH)
        for i in range(n)
    ]


def ask(server, asked, **options):
    expert = make_expert(
        {"kind": "openai", "model": "judge", "base_url": server.url, "backoff": 0.001} | options
    )

    async def at_once():
        return await asyncio.gather(*map(expert.ask, asked), return_exceptions=True)

    return expert, asyncio.run(at_once())


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running


def test_a_budget_in_calls_is_exact_and_its_message_names_the_option(server):
    expert, outcomes = ask(server, requests(20), max_calls=7)
    spent = [outcome for outcome in outcomes if isinstance(outcome, BudgetExhausted)]
    assert (server.total, len(spent)) == (7, 13)
    assert "budget of 7 calls is spent: raise its option max_calls" in str(spent[0])
    assert stats_of(expert).failures == {"budget": 13}


def test_a_budget_in_tokens_ends_the_run_once_it_is_spent(server):
    # Each reply takes 100 + 10 tokens; one request at a time, so the third finds 220 of 200 spent.
    _, outcomes = ask(server, requests(5), max_tokens=200, concurrency=1)
    assert server.total == 2
    assert [isinstance(outcome, BudgetExhausted) for outcome in outcomes] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_budget_covers_all_that_was_paid_into_a_cache_and_what_is_kept_needs_none(
    server, tmp_path
):
    cache = str(tmp_path / "cache")
    ask(server, requests(5), max_calls=7, cache=cache)
    # Another process, as far as the expert can tell: five are free, two are left.
    expert, outcomes = ask(server, requests(10), max_calls=7, cache=cache)
    assert server.total == 7
    assert sum(isinstance(outcome, BudgetExhausted) for outcome in outcomes) == 3
    assert stats_of(expert).cache_hits == 5
    _, outcomes = ask(server, requests(10), max_calls=12, cache=cache)
    assert server.total == 10 and not any(
        isinstance(outcome, BudgetExhausted) for outcome in outcomes
    )


def test_no_more_requests_than_allowed_are_on_their_way(server):
    server.latency = 0.02
    most = 0

    def reply(prompt):
        nonlocal most
        most = max(most, sum(server.together.values()))
        return {"claims": [1], "overall": 1}

    server.reply = reply
    _, verdicts = ask(server, requests(30), concurrency=3)
    assert all(verdict.overall == 1 for verdict in verdicts)
    assert most == 3


def admitted(limits, n):
    """Seconds from the first to the last of n admissions."""

    async def all_of_them():
        start = time.monotonic()
        await asyncio.gather(*(limits.admit() for _ in range(n)))
        return time.monotonic() - start

    return asyncio.run(all_of_them())


def test_requests_are_paced_after_a_second_s_worth():
    # 600 a minute: ten at once, then one every 0.1 s; 13 need at least 0.3 s less rounding.
    assert admitted(Limits(requests_per_minute=600), 13) >= 0.15


def test_tokens_are_paced_by_what_requests_take():
    limits = Limits(tokens_per_minute=600_000)  # 10,000 a second
    start = time.monotonic()
    for _ in range(40):
        limits.settle(asyncio.run(limits.admit()), 500)
    # 20,000 tokens are two seconds' worth, one of which is let through at once.
    assert time.monotonic() - start >= 0.8


def test_processes_that_share_a_directory_share_the_rate(tmp_path):
    # One in ten minutes, so that no slow machine makes up for it.
    first, second = (Limits(requests_per_minute=0.1, directory=tmp_path) for _ in range(2))
    asyncio.run(first.admit())
    assert second._reserve("requests", 1.0) > 300


@pytest.mark.parametrize(
    "name", ["concurrency", "requests_per_minute", "tokens_per_minute", "max_calls", "max_tokens"]
)
def test_a_limit_of_zero_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        make_expert({"kind": "openai", "model": "judge", name: 0})


def test_cost_is_tokens_times_the_table_s_prices(server, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("judge: {input: 2.5, output: 10}\n")
    expert, verdicts = ask(server, requests(4), prices=str(prices))
    # 100 * 2.5e-6 + 10 * 10e-6 = 0.00035 each
    assert [verdict.source.usage.cost for verdict in verdicts] == pytest.approx([0.00035] * 4)
    assert stats_of(expert).totals()["cost"] == pytest.approx(0.0014)
    assert "400 + 40 tokens" in stats_of(expert).summary()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "has no 'judge': add a line"),
        ({"judge": {"in": 1}}, "must be"),
        ({"judge": {"input": -1}}, "below 0"),
    ],
)
def test_a_wrong_price_table_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        price_of("judge", table)
