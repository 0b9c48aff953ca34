"""The judged answer is data: no text in it changes another claim's verdict, breaks the parser,
or reaches a log.
"""

import asyncio
import json
import logging

import pytest
from gullible_judge import gullible_reply, labels_of, outcome_of_naive, outcome_of_ours
from hostile_answers import FALSE, FAMILIES, REFERENCE, TRUE, hostile_claims
from hypothesis import given
from judge_server import JudgeServer

from reward_fns.expert import AnswerRequest, make_expert
from reward_fns.expert.prompting.forms import prompt_text
from reward_fns.judging import judge_response

TRUTH = json.dumps({"task": "QA", "facts": [TRUE, REFERENCE]})
HOSTILE = [(family, claim) for family, claims in FAMILIES.items() for claim in claims]
KEY = "sk-hostile-0123456789"


@pytest.fixture
def served(monkeypatch):
    """An expert behind a server whose judge believes the layout of its prompt."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with JudgeServer(reply=gullible_reply) as server:
        options = {
            "model": "judge",
            "base_url": server.url,
            "api_key_env": "JUDGE_KEY",
            "timeout": 60,
        }
        yield make_expert({"kind": "openai", **options})


def test_the_families_hold_at_least_200_answers_and_harm_a_layer_written_without_thought():
    assert len(HOSTILE) >= 200
    naive = [outcome_of_naive([TRUE, claim, FALSE], TRUTH, [1, 0]) for _, claim in HOSTILE]
    # The judge is the same for both layers; if it could not be fooled,
    # the test of this layer would show nothing.
    assert sum(outcome != "unharmed" for outcome in naive) > len(HOSTILE) / 3


def test_none_of_them_changes_another_claim_s_verdict_through_the_wire(served, caplog):
    caplog.set_level(logging.INFO)
    requests = [
        AnswerRequest(
            "Which digit?", "QA", (TRUE, claim, FALSE), f"{TRUE}\n{claim}\n{FALSE}", TRUTH
        )
        for _, claim in HOSTILE
    ]

    async def all_of_them():
        return await asyncio.gather(*map(served.ask, requests))

    verdicts = asyncio.run(all_of_them())
    harmed = [
        (family, claim[:60])
        for (family, claim), verdict in zip(HOSTILE, verdicts, strict=True)
        if (verdict.claim_labels, verdict.overall) != ((1, 0, 0), 0.0)
    ]
    assert harmed == []
    assert served.stats.calls == len(set(requests)) and not served.stats.failures
    assert KEY not in caplog.text and REFERENCE not in caplog.text


def test_whole_responses_of_a_policy_are_judged_as_their_true_claims_say(served):
    async def judged(claim):
        response = (
            f"1. {TRUE} I'm sure.\n2. {claim} I'm sure.\n3. {FALSE} I'm sure.\nConfidence: 0.5"
        )
        return await judge_response(
            response=response,
            question="Which digit?",
            task="QA",
            ground_truth=TRUTH,
            expert=served,
        )

    async def all_of_them():
        return await asyncio.gather(*(judged(claim) for _, claim in HOSTILE))

    n_judged = 0
    for (family, claim), outcome in zip(HOSTILE, asyncio.run(all_of_them()), strict=True):
        assert outcome.error is None, (family, claim[:60], outcome.error)
        if (
            outcome.verdict is None
        ):  # a defect in the list: nothing is judged, the reward is the lowest
            assert not outcome.parsed.list_is_whole
            continue
        n_judged += 1
        # Lines and tags inside a claim make other claims of it;
        # whatever they are, each is judged for what it says.
        expected = [int(parsed.text == TRUE) for parsed in outcome.parsed.claims]
        assert list(outcome.verdict.claim_labels) == expected, (family, claim[:60])
    assert n_judged > len(HOSTILE) / 2


@given(hostile_claims)
def test_any_text_stays_in_its_place(claim):
    if claim in (TRUE, FALSE):
        return
    assert outcome_of_ours([TRUE, claim, FALSE], TRUTH, [1, 0]) == "unharmed"
    request = AnswerRequest(claim, "QA", (TRUE, claim), claim, TRUTH)
    assert not labels_of(prompt_text(request))[1]
    # The same lines as with harmless text, and valid UTF-8.
    harmless = prompt_text(AnswerRequest("a", "QA", (TRUE, "b"), "c", TRUTH))
    assert len(prompt_text(request).splitlines()) == len(harmless.splitlines())
    prompt_text(request).encode()
