"""One call an answer against N + 1, and the order of claims, through a real server."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_server import JudgeServer, exact_reply, material

from reward_fns.expert import AnswerRequest, AnswerVerdict, Source, make_expert
from reward_fns.expert.commands.agreement import compare, kappa
from reward_fns.expert.modes import drawn_order

FACTS = ["A red 3.", "A blue 7.", "A green 1.", "A red 9."]
TRUTH = json.dumps({"task": "Detail", "facts": FACTS})
CLAIMS = ("A red 3.", "A blue 2.", "A green 1.", "A red 3.", "A dog.")


def request(claims=CLAIMS):
    return AnswerRequest("Describe.", "Detail", tuple(claims), "\n".join(claims), TRUTH)


def ask(server, *asked, **options):
    expert = make_expert({"kind": "openai", "model": "judge", "base_url": server.url} | options)

    async def at_once():
        return await asyncio.gather(*map(expert.ask, asked))

    return expert, asyncio.run(at_once())


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running


def test_one_call_answers_for_all_claims_in_the_answer_s_order(server):
    _, [verdict] = ask(server, request())
    # Two of four facts are stated and true, three of the four distinct claims: 2 / max(4, 4).
    assert (verdict.claim_labels, verdict.overall) == ((1, 0, 1, 1, 0), 0.5)
    assert (server.total, verdict.source.usage.calls) == (1, 1)
    assert verdict.source.model == "judge-2026"


def test_n_plus_1_calls_give_the_same_and_add_up(server):
    expert, [verdict] = ask(server, request(), mode="per_claim")
    assert (verdict.claim_labels, verdict.overall) == ((1, 0, 1, 1, 0), 0.5)
    # Five claims, two of them the same, and the answer as a whole.
    assert (server.total, verdict.source.usage.calls, expert.stats.calls) == (5, 5, 5)
    assert verdict.source.usage.prompt_tokens == 500


def test_per_claim_a_claim_s_failure_is_the_answer_s(server):
    server.faults = {"400": 1.0}
    with pytest.raises(Exception, match="refused"):
        ask(server, request(), mode="per_claim")


def test_without_claims_only_the_answer_is_judged(server):
    for mode in ("one_call", "per_claim"):
        bare = AnswerRequest(
            "Which digit?", "QA", (), "The digit is 7.", json.dumps({"facts": ["The digit is 7."]})
        )
        _, [verdict] = ask(server, bare, mode=mode)
        assert (verdict.claim_labels, verdict.overall) == ((), 1.0)


def test_a_judge_that_labels_by_place_labels_a_claim_the_same_wherever_it_stands(server):
    server.reply = lambda prompt: {
        "claims": [1, 0, 0, 1, 0][: len(material(prompt)["claims"])],
        "overall": 0.5,
    }
    orders = [CLAIMS, CLAIMS[::-1], CLAIMS[2:] + CLAIMS[:2]]
    _, verdicts = ask(server, *map(request, orders))
    labels = [
        dict(zip(order, verdict.claim_labels, strict=True))
        for order, verdict in zip(orders, verdicts, strict=True)
    ]
    assert labels[0] == labels[1] == labels[2]


@given(st.lists(st.text(max_size=5), max_size=8))
def test_the_drawn_order_holds_each_claim_once_and_depends_on_the_set_alone(claims):
    drawn = drawn_order("q", tuple(claims))
    assert sorted(drawn) == sorted(set(claims))
    assert drawn_order("q", tuple(reversed(claims * 2))) == drawn


def test_the_drawn_order_is_no_one_s_order():
    # Of 6! orders of the same claims a question draws one;
    # over 60 questions the first place is nobody's.
    claims = tuple(f"claim {i}" for i in range(6))
    firsts = {drawn_order(f"question {i}", claims)[0] for i in range(60)}
    assert firsts == set(claims)


def test_both_modes_agree_on_what_an_exact_judge_says(server):
    answers = [request(FACTS[: i + 1] + ["A dog."] * (i % 2)) for i in range(4)]
    _, one_call = ask(server, *answers)
    _, per_claim = ask(server, *answers, mode="per_claim")
    found = compare(one_call, per_claim)
    assert (
        found.answers,
        found.failed,
        found.equal_labels,
        found.kappa,
        found.overall_difference,
    ) == (4, 0, 1, 1, 0)


def verdict(labels, overall):
    return AnswerVerdict(tuple(labels), overall, Source("judge"))


def test_agreement_by_hand():
    one = [verdict((1, 1, 0), 1.0), verdict((0,), 0.0), None]
    each = [verdict((1, 0, 0), 0.5), verdict((0,), 0.0), verdict((1,), 1.0)]
    found = compare(one, each)
    # Labels 1 1 0 0 and 1 0 0 0: 3 of 4 agree; expected 1/2 * 1/4 + 1/2 * 3/4 = 1/2;
    # kappa (3/4 - 1/2) / (1/2) = 1/2
    assert (found.answers, found.failed, found.claims) == (2, 1, 4)
    assert (found.equal_labels, found.kappa, found.overall_difference) == (0.75, 0.5, 0.25)


def test_kappa_agrees_with_scikit_learn_and_is_nan_where_nothing_varies():
    metrics = pytest.importorskip("sklearn.metrics")
    first, second = [1, 1, 0, 0, 1, 0, 1], [1, 0, 0, 0, 1, 1, 1]
    assert kappa(first, second) == pytest.approx(metrics.cohen_kappa_score(first, second))
    assert kappa([1, 1], [1, 1]) != kappa([1, 1], [1, 1]) and kappa([], []) != kappa([], [])


def test_the_server_of_these_tests_judges_exactly():
    claims = json.dumps(["A red 3.", "A dog."])
    lines = (
        f'Request: "Describe."\nReference: {json.dumps(TRUTH)}\nFull: "A red 3."\nClaims: {claims}'
    )
    assert exact_reply(f"\n--------\n{lines}\n--------\n") == {"claims": [1, 0], "overall": 0.25}
