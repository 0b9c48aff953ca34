"""The expert against a real server with 200 ms latency, and `compute_score` with a warm cache.

    python -m pytest tests/benchmarks/test_expert_throughput.py -s

Groups of 8 responses with 5 claims, half of a group's responses repeated (a policy that has
converged repeats itself). The naive layer sends Algorithm 1's N + 1 calls one after the other over
one kept connection. It is timed on one group and the layer on all, in one run;
the ratio is of responses a second.
"""

import asyncio
import json
import time

import pytest
from judge_server import JudgeServer

from reward_fns.claims import Claim, render_response
from reward_fns.compute_score import compute_score
from reward_fns.expert import AnswerRequest, make_expert, stats_of
from reward_fns.expert.requests import ClaimRequest, OverallRequest

pytest.importorskip("pytest_benchmark")

LATENCY, GROUPS, RESPONSES, CLAIMS = 0.2, 16, 8, 5
TRUTH = json.dumps({"task": "Detail", "facts": ["A red 3.", "A blue 7."]})


def group(number):
    """8 answers to one question, of which 4 are distinct."""
    answers = []
    for response in range(RESPONSES):
        claims = tuple(f"A {number} {response % 4} {claim}." for claim in range(CLAIMS))
        answers.append(
            AnswerRequest(f"Describe {number}.", "Detail", claims, "\n".join(claims), TRUTH)
        )
    return answers


def config(server, **options):
    return {
        "kind": "openai",
        "model": "judge",
        "base_url": server.url,
        "concurrency": 256,
        "timeout": 60,
    } | options


async def naive(server, answers):
    """One call after the other; seconds and calls."""
    expert = make_expert(config(server))
    inner = expert.expert.expert  # without sharing
    await inner.ask(OverallRequest("warm up", "Detail", "A dog.", TRUTH))
    calls, start = inner.stats.calls, time.perf_counter()
    for answer in answers:
        for claim in answer.claims:
            await inner.ask(ClaimRequest(answer.question, "Detail", claim, answer.response, TRUTH))
        await inner.ask(OverallRequest(answer.question, "Detail", answer.response, TRUTH))
    return time.perf_counter() - start, inner.stats.calls - calls


async def layer(server, answers):
    expert = make_expert(config(server))
    await expert.ask(AnswerRequest("warm up", "Detail", ("A dog.",), "A dog.", TRUTH))
    calls, start = stats_of(expert).calls, time.perf_counter()
    await asyncio.gather(*map(expert.ask, answers))
    return time.perf_counter() - start, stats_of(expert).calls - calls


def test_throughput_is_30_times_the_naive_and_duplicates_are_shared():
    with JudgeServer(latency=LATENCY) as server:
        slow, slow_calls = asyncio.run(naive(server, group(0)))
        fast, fast_calls = asyncio.run(
            layer(server, [answer for number in range(GROUPS) for answer in group(number + 1)])
        )
    ratio = (GROUPS * RESPONSES / fast) / (RESPONSES / slow)
    calls = (fast_calls / GROUPS) / slow_calls
    print(f"\nnaive {RESPONSES / slow:.2f} responses/s, {slow_calls} calls a group")
    print(
        f"layer {GROUPS * RESPONSES / fast:.1f} responses/s, {fast_calls / GROUPS:g} calls a group"
    )
    print(f"throughput x {ratio:.0f}, calls x {calls:.3f}")
    assert slow_calls == RESPONSES * (CLAIMS + 1) and fast_calls == GROUPS * 4
    assert ratio >= 30
    assert calls <= 0.25


# Time of this thread, not of the wall: what else runs on the machine adds nothing.
@pytest.mark.benchmark(timer=time.thread_time)
def test_compute_score_with_a_warm_cache_takes_under_a_millisecond(benchmark, tmp_path):
    facts = [f"A red {i} is in row {i} of the picture." for i in range(8)]
    responses = [
        render_response(
            [Claim(f"{fact[:-1]} {number}.", i % 3 > 0) for i, fact in enumerate(facts)], 0.75
        )
        for number in range(128)
    ]
    truth = json.dumps({"task": "Detail", "facts": facts[:6]})
    with JudgeServer() as server:
        expert = config(server, cache=str(tmp_path))

        async def step():
            return await asyncio.gather(
                *(
                    compute_score("COCO", response, truth, {"question": "Describe."}, expert=expert)
                    for response in responses
                )
            )

        asyncio.run(step())
        paid = server.total
        rewards = benchmark(lambda: asyncio.run(step()))
        assert server.total == paid == len(responses)
    assert not any(reward["expert_failed"] for reward in rewards)
    print(f"\n{benchmark.stats['min'] / len(responses) * 1e3:.3f} ms a response")
    assert benchmark.stats["min"] / len(responses) < 1e-3
