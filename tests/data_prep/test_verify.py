"""Self-verification: how a vote is read, counted and drawn,
and that both modes count the same thing.
"""

import math

import pytest

from data_prep.engines import Completion, Token
from data_prep.steps.verify import VerifyConfig, count, no_vote, read_vote

SAMPLED, DRAWN, CLOSED = (
    VerifyConfig("sampled"),
    VerifyConfig("marginal"),
    VerifyConfig("marginal", "closed"),
)


def _scored(**chances):
    return [Completion("", (Token("", 0.0, {word: math.log(p) for word, p in chances.items()}),))]


@pytest.mark.parametrize(
    ("reply", "vote"),
    [
        ("Yes", True),
        (" yes, it is.", True),
        ("TRUE", True),
        ("**No**", False),
        ("False\n", False),
        ("Perhaps yes", None),
        ("Yesterday", None),
        ("Nothing", None),
        ("", None),
        ("?!", None),
    ],
)
def test_the_first_word_is_the_vote(reply, vote):
    assert read_vote(reply) is vote


@pytest.mark.parametrize(
    ("yes", "no", "other", "verdict"),
    [
        (6, 4, 0, True),
        (5, 5, 0, False),
        (4, 6, 0, False),
        (3, 2, 5, True),
        (1, 1, 8, False),
        (10, 0, 0, True),
    ],
)
def test_a_majority_of_the_votes_is_true_and_a_tie_is_false(yes, no, other, verdict):
    replies = [Completion(text) for text in ["Yes"] * yes + ["No"] * no + ["Perhaps"] * other]
    counted = count(replies, 0, SAMPLED)
    assert counted["verdict"] is verdict
    assert (counted["true_votes"], counted["votes"]) == (yes, yes + no)
    assert counted["mass"] == (yes + no) / 10 and counted["p_true"] == round(yes / (yes + no), 4)


def test_no_vote_at_all_is_no_verdict():
    assert count([Completion("Perhaps")] * 10, 0, SAMPLED) == no_vote()
    assert count(_scored(Perhaps=0.9), 0, DRAWN) == no_vote()
    assert no_vote()["verdict"] is None


def test_the_chance_of_true_is_taken_over_the_four_words():
    # (0.3 + 0.1) / (0.3 + 0.1 + 0.15 + 0.05) = 0.4 / 0.6; "Maybe" takes no part.
    scored = _scored(
        **{"Yes": 0.2, " yes": 0.1, "true": 0.1, "No": 0.15, "FALSE": 0.05, "Maybe": 0.4}
    )
    counted = count(scored, 0, CLOSED)
    assert counted == {
        "p_true": 0.6667,
        "mass": 0.6,
        "true_votes": 6.667,
        "votes": 10,
        "verdict": True,
    }


@pytest.mark.parametrize(("p", "verdict"), [(0.5, False), (0.501, True), (0.499, False)])
def test_the_closed_form_is_true_above_one_half(p, verdict):
    assert count(_scored(yes=p, no=1 - p), 0, CLOSED)["verdict"] is verdict


def test_drawn_votes_are_a_function_of_the_seed_and_binomial():
    scored = _scored(yes=0.3, no=0.7)
    votes = [count(scored, seed, DRAWN)["true_votes"] for seed in range(4000)]
    assert votes == [count(scored, seed, DRAWN)["true_votes"] for seed in range(4000)]
    # Binomial(10, 0.3): mean 3, variance 2.1; five standard errors of a mean of 4000 are 0.115.
    assert abs(sum(votes) / 4000 - 3) < 0.115
    from scipy.stats import binom, chisquare

    observed = [votes.count(k) for k in range(7)] + [sum(v >= 7 for v in votes)]
    expected = [4000 * binom.pmf(k, 10, 0.3) for k in range(7)] + [4000 * binom.sf(6, 10, 0.3)]
    assert chisquare(observed, expected).pvalue > 1e-4
