"""SC: complete-linkage clusters at cosine 0.8, share of the largest, multiples of 1/k."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.engines.encoder import Encoder
from eval.protocols import PROTOCOLS, Options
from eval.protocols.consistency import COSINE, ENCODER, largest_cluster


def at_degrees(*angles):
    """Unit vectors in the plane: their cosines are those of the angles between them;
    0.8 is at 36.87 degrees.
    """
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("angles", "sizes"),
    [
        ((0, 0, 0), [3]),
        ((0, 90, 180), [1, 1, 1]),
        ((0, 36, 90), [2, 1]),  # cos 36 = 0.809
        ((0, 38), [1, 1]),  # cos 38 = 0.788
        # a chain: neighbours agree (cos 30 = 0.87), the ends do not (cos 60 = 0.5);
        # single linkage would make it one
        ((0, 30, 60), [2, 1]),
        ((5,), [1]),
    ],
)
def test_clusters_by_hand(angles, sizes):
    assert largest_cluster(at_degrees(*angles)) == (sizes[0], sizes)


def test_a_cosine_of_exactly_the_threshold_merges():
    vectors = np.array([[1.0, 0.0], [0.8, 0.6]])
    assert largest_cluster(vectors) == (2, [2])


def _complete_linkage(vectors):
    """The definition in loops: merge the two clusters whose worst pair is best,
    while that pair has cosine >= 0.8.
    """
    cosine = vectors @ vectors.T
    clusters = [[i] for i in range(len(vectors))]
    while len(clusters) > 1:
        pairs = list(itertools.combinations(range(len(clusters)), 2))
        worst = [min(cosine[i, j] for i in clusters[a] for j in clusters[b]) for a, b in pairs]
        best = int(np.argmax(worst))
        if worst[best] < COSINE:
            break
        a, b = pairs[best]
        clusters[a] += clusters.pop(b)
    return sorted(map(len, clusters), reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_clusters_are_those_of_the_definition(seed, k):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(k, 3)) + np.array([1.5, 0, 0])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert largest_cluster(vectors)[1] == _complete_linkage(vectors)


def test_real_embeddings_of_sampled_answers(make_asked, rule_engine):
    said = ["The digit is 7.", "The digit is 7!", "A horse stands in a field.", "The digit is 7."]
    texts = [
        f"1. {text} I'm {'sure' if i % 2 else 'not sure'}.\nConfidence: 0.{i}"
        for i, text in enumerate(said)
    ]
    engine = rule_engine(lambda prompt: texts)
    protocol = PROTOCOLS["sc"](Options(seed=0, max_tokens=8, sc_samples=4))
    found = protocol.confidences(engine, [make_asked("q0"), make_asked("q0", sample=1)])
    assert [c.confidence for c in found] == [0.75, 0.75]
    assert found[0].detail == {"clusters": [3, 1], "merged": True}  # "7." and "7!"
    assert found[0].texts == said  # tags and confidences are not compared
    (request,) = engine.requests  # the question's own prompt, once for both answers
    assert request.messages == make_asked().question.messages and engine.samplings[0].n == 4


@pytest.mark.parametrize(("digits", "merged"), [("77", False), ("67", True)])
def test_a_record_says_whether_answers_that_read_differently_were_merged(
    make_asked, rule_engine, digits, merged
):
    """6 and 7 are one answer to MiniLM at cosine 0.8."""
    engine = rule_engine(lambda prompt: [f"The digit is {digit}." for digit in digits])
    (found,) = PROTOCOLS["sc"](Options(seed=0, max_tokens=8, sc_samples=2)).confidences(
        engine, [make_asked("q0")]
    )
    assert found.detail["merged"] is merged and found.detail["clusters"] == [2]


def test_the_cosine_rule_merges_answers_that_contradict_each_other():
    """What eval/protocols/README.md says of the paper's rule with MiniLM."""
    encoder = Encoder(ENCODER)

    def cosine(a, b):
        first, second = encoder.encode([a, b])
        return float(first @ second)

    assert cosine("Yes, there is a dog", "No, there is no dog") > COSINE
    digits = encoder.encode([f"The digit is {digit}." for digit in range(10)])
    merged = [a @ b >= COSINE for a, b in itertools.combinations(digits, 2)]
    assert (sum(merged), len(merged)) == (35, 45)
