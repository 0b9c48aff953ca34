"""Semantic entropy by hand: clusters of samples that say the same, 1 - H / log k."""

import math

import pytest

from eval.protocols import PROTOCOLS, Options
from eval.protocols.equivalence import TextEquivalence
from eval.protocols.semantic_entropy import cluster_samples, entropy_confidence
from reward_fns.errors import UserError

SEVEN, THREE = "1. The digit is 7. I'm sure.\nConfidence: 0.9", "1. The digit is 3. I'm sure."


def test_by_hand():
    # H = -(3/4 log 3/4 + 1/4 log 1/4) = 0.5623, log 4 = 1.3863: 1 - 0.4056
    assert entropy_confidence([3, 1]) == pytest.approx(0.5944, abs=1e-4)
    assert entropy_confidence([2, 2]) == pytest.approx(0.5)  # one bit of two
    assert entropy_confidence([5]) == 1.0 and entropy_confidence([1] * 5) == 0.0
    # Four samples that agree say more than three that do.
    assert entropy_confidence([4, 1]) > entropy_confidence([3, 2]) > entropy_confidence([3, 1, 1])


class Ordered:
    """Equal if they differ by at most one: not transitive, so the order of the clusters shows."""

    name = "ordered"

    def __init__(self):
        self.asked = []

    def equal(self, pairs):
        self.asked.append([(pair.first, pair.second) for pair in pairs])
        return [abs(int(pair.first) - int(pair.second)) <= 1 for pair in pairs]


def test_a_sample_joins_the_first_cluster_whose_first_member_it_is_equivalent_to():
    rule = Ordered()
    sizes = cluster_samples({"q": None, "r": None}, {"q": "1324", "r": "11"}, rule)
    # 1 opens, 3 opens, 2 is next to both and joins the first; 4 is next to 3, not to 1.
    assert sizes == {"q": [2, 2], "r": [2]}
    # Round by round, all questions together, against first members only.
    assert rule.asked == [
        [],
        [("1", "3"), ("1", "1")],
        [("1", "2"), ("3", "2")],
        [("1", "4"), ("3", "4")],
    ]


def run(name, engine, *asked, k=4):
    options = Options(seed=0, max_tokens=8, sc_samples=k)
    return PROTOCOLS[name](options).confidences(engine, asked)


def test_the_samples_are_those_of_sc_and_tags_and_numbers_do_not_count(make_asked, rule_engine):
    texts = [SEVEN, SEVEN.replace("0.9", "0.2"), THREE, "the digit is 7"]
    engine = rule_engine(lambda prompt: texts)
    found, other = run("semantic_entropy", engine, make_asked(), make_asked(sample=1))
    assert found.confidence == other.confidence == pytest.approx(entropy_confidence([3, 1]))
    assert found.detail == {"clusters": [3, 1]} and found.texts[2] == "The digit is 3."
    requests, samplings = list(engine.requests), list(engine.samplings)
    run("sc", engine, make_asked())
    assert engine.requests[len(requests) :] == requests and engine.samplings[1:] == samplings


def test_samples_that_say_nothing_are_no_agreement(make_asked, rule_engine):
    """As where the model refuses the question, whose samples are then empty."""
    (found,) = run("semantic_entropy", rule_engine(lambda prompt: [""] * 4), make_asked())
    assert found.confidence is None


def test_one_sample_has_no_entropy():
    with pytest.raises(UserError, match="--sc-samples of at least 2"):
        PROTOCOLS["semantic_entropy"](Options(seed=0, max_tokens=8, sc_samples=1))


def test_clusters_of_text_are_counts_of_what_is_said():
    samples = {"q": [SEVEN, THREE, SEVEN, "Nothing to see.", THREE, SEVEN]}
    sizes = cluster_samples({"q": None}, samples, TextEquivalence())
    assert sizes == {"q": [3, 2, 1]} and math.isclose(sum(sizes["q"]), 6)
