"""The pocket model votes the same way whether its votes are generated or drawn
from one scoring pass.
"""

import math
from pathlib import Path

import proposals
import pytest
from scipy.stats import binom, chi2

from data_prep.engines import open_engine
from data_prep.steps.verify import VerifyConfig, count

MODEL = Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model"
VOTES = 60


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """(marginal closed, marginal drawn, sampled) of each proposed answer, with many votes each."""
    requests = proposals.requests(20)
    closed, drawn = (
        VerifyConfig("marginal", "closed", VOTES),
        VerifyConfig("marginal", "drawn", VOTES),
    )
    sampled = VerifyConfig("sampled", votes=VOTES)
    with open_engine(str(MODEL), tmp_path_factory.mktemp("models")) as engine:
        scored = engine.generate(requests, closed.sampling())
        replies = engine.generate(requests, sampled.sampling())
    return [
        (count(one, r.seed, closed), count(one, r.seed, drawn), count(many, r.seed, sampled))
        for r, one, many in zip(requests, scored, replies, strict=True)
    ]


def test_sampled_votes_are_binomial_with_the_marginal_chance(verdicts):
    # Of n votes k are True with k ~ Binomial(n, p): the sum of (k - np)^2 / (np(1 - p)) is
    # chi-square with as many degrees of freedom as there are answers.
    # Answers whose vote is nearly certain are left to the next test.
    terms = []
    for closed, _, sampled in verdicts:
        n, p = sampled["votes"], closed["p_true"]
        if n * p * (1 - p) >= 3:
            terms.append((sampled["true_votes"] - n * p) ** 2 / (n * p * (1 - p)))
    assert len(terms) >= 15
    assert chi2.sf(sum(terms), len(terms)) > 1e-3, sum(terms) / len(terms)


def test_a_nearly_certain_vote_is_nearly_certain_in_both(verdicts):
    for closed, _, sampled in verdicts:
        n, p, k = sampled["votes"], closed["p_true"], sampled["true_votes"]
        assert binom.cdf(k, n, p) > 1e-6 and binom.sf(k - 1, n, p) > 1e-6, (k, n, p)


def test_the_share_of_replies_that_vote_is_the_mass_of_the_four_words(verdicts):
    for closed, _, sampled in verdicts:
        mass = closed["mass"]
        assert abs(sampled["mass"] - mass) <= 5 * math.sqrt(mass * (1 - mass) / VOTES) + 0.01


def test_labels_differ_no_more_often_than_sampling_makes_them(verdicts):
    # Two draws of n votes give different majorities with chance 2 q (1 - q),
    # q = P(Binomial(n, p) > n / 2).
    differing, expected, variance = 0, 0.0, 0.0
    for closed, drawn, sampled in verdicts:
        differing += drawn["verdict"] != sampled["verdict"]
        q = binom.sf(VOTES // 2, VOTES, closed["p_true"])
        chance = 2 * q * (1 - q)
        expected, variance = expected + chance, variance + chance * (1 - chance)
    assert abs(differing - expected) <= 4 * math.sqrt(variance) + 1, (differing, expected)
