"""When two answers say the same: by text, by a real cross-encoder (random, see `nli_model`),
by a judge over HTTP.
"""

import itertools
import json
import re

import pytest
import torch
from judge_server import JudgeServer
from nli_model import LABELS, build_nli_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from eval.protocols import PROTOCOLS, Options
from eval.protocols.equivalence import Pair, TextEquivalence, make_equivalence
from reward_fns.errors import UserError
from reward_fns.expert import make_expert

DOG, HOUND, BIG, CAT = "It is a dog", "A hound is there", "It is a big dog", "A cat"


def pairs(question, texts):
    return [Pair(question, a, b) for a, b in itertools.product(texts, repeat=2)]


def test_text_compares_what_is_stated_in_any_order(make_asked):
    question = make_asked().question
    one = "1. A dog. I'm sure.\n2. It is red. I'm not sure.\nConfidence: 0.4"
    other = "1. it is red. I'm sure.\n2. A  dog. I'm sure.\nConfidence: 0.9"
    less = "1. A dog. I'm sure.\nConfidence: 0.4"
    asked = [Pair(question, one, other), Pair(question, one, less)]
    assert TextEquivalence().equal(asked) == [True, False]


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    return build_nli_model(tmp_path_factory.mktemp("nli"))


def test_a_cross_encoder_must_entail_both_ways(nli, make_asked):
    """Against the model itself, asked directly. Random weights: some pairs entail one way only."""
    tokenizer = AutoTokenizer.from_pretrained(nli)
    reference = AutoModelForSequenceClassification.from_pretrained(nli).eval()
    question = make_asked().question

    def entails(first, second):
        batch = tokenizer(
            f"{question.question} {first}", f"{question.question} {second}", return_tensors="pt"
        )
        with torch.no_grad():
            return LABELS[int(reference(**batch).logits.argmax())] == "entailment"

    texts = ["oslo", "in lima", "no", "riga", "it is not lima", "yes", "a dog", "tokyo"]
    asked = [pair for pair in pairs(question, texts) if pair.first != pair.second]
    ways = [(entails(p.first, p.second), entails(p.second, p.first)) for p in asked]
    assert {(True, True), (True, False), (False, False)} <= set(ways)
    equivalence = make_equivalence(nli, None)
    assert equivalence.equal(asked) == [a and b for a, b in ways]
    same = [Pair(question, text, text.upper() + ".") for text in texts]
    assert equivalence.equal(same) == [True] * len(texts)  # equal texts are not asked about
    assert nli in equivalence.name and "both ways" in equivalence.name


def test_a_directory_that_is_no_model_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no NLI cross-encoder") as caught:
        make_equivalence(str(tmp_path / "nothing"), None)
    assert "\n" not in str(caught.value)


def judge(prompt):
    """A dog and a hound are the same; a big dog is a dog, and a dog need not be big."""
    a, b = (json.loads(re.search(f"Answer {x}.*?: (.*)", prompt)[1]) for x in "AB")
    follows = {(DOG, HOUND), (HOUND, DOG), (BIG, DOG), (BIG, HOUND)}
    return {"label": "entailment" if (a, b) in follows else "neutral"}


@pytest.fixture
def server():
    with JudgeServer(reply=judge) as running:
        running.keep_bodies = True
        yield running


def of_judge(server):
    config = {"kind": "openai", "model": "judge", "base_url": server.url}
    return make_equivalence("expert", make_expert(config))


def test_the_expert_is_asked_both_ways_and_nothing_twice(server, make_asked):
    equivalence = of_judge(server)
    question = make_asked().question
    texts = (DOG, HOUND, BIG, CAT)
    found = dict(
        zip(
            itertools.product(texts, repeat=2),
            equivalence.equal(pairs(question, texts)),
            strict=True,
        )
    )
    same = {pair for pair, verdict in found.items() if verdict}
    assert same == {(t, t) for t in texts} | {(DOG, HOUND), (HOUND, DOG)}
    calls = server.total
    # 6 pairs of different texts, each once at least and twice at most, whatever the order.
    assert 6 <= calls <= 12
    equivalence.equal(pairs(question, texts))
    assert server.total == calls
    assert "image_url" not in json.dumps(server.bodies)  # texts are compared


def test_sc_own_and_semantic_entropy_by_the_expert(server, make_asked, rule_engine):
    samples = [f"1. {text}. I'm sure.\nConfidence: 0.5" for text in (DOG, HOUND, BIG, CAT)]
    samples = [
        text.replace(f"{t}.", t) for text, t in zip(samples, (DOG, HOUND, BIG, CAT), strict=True)
    ]
    engine = rule_engine(lambda prompt: samples)
    options = Options(seed=0, max_tokens=8, sc_samples=4, equivalence=of_judge(server))
    asked = [
        make_asked(response=HOUND),
        make_asked(response=CAT, sample=1),
        make_asked(response="A fish", sample=2),
        make_asked(response="", sample=3),
    ]
    own = PROTOCOLS["sc_own"](options)
    assert [c.confidence for c in own.confidences(engine, asked)] == [2 / 4, 1 / 4, 0, None]
    entropy = PROTOCOLS["semantic_entropy"](options)
    assert entropy.confidences(engine, asked)[0].detail == {"clusters": [2, 1, 1]}
    # Other records than those by text, and those by text are what they were.
    assert own.settings["equal"] == entropy.settings["equal"] != "normalised text"
    by_text = PROTOCOLS["sc_own"](Options(seed=0, max_tokens=8, sc_samples=4))
    assert by_text.settings == {"k": 4, "max_tokens": 8, "equal": "normalised text"}
    assert by_text.confidences(engine, asked[:1])[0].confidence == 1 / 4


def test_an_expert_that_fails_is_one_line_that_names_the_question(make_asked):
    with JudgeServer(reply=lambda prompt: "no JSON") as server:
        config = {"kind": "openai", "model": "judge", "base_url": server.url, "max_retries": 0}
        equivalence = make_equivalence("expert", make_expert(config))
        with pytest.raises(UserError, match="compare two answers to 'Which digit\\?'") as caught:
            equivalence.equal([Pair(make_asked().question, DOG, CAT)])
    assert "\n" not in str(caught.value)


def test_the_oracle_compares_nothing_and_says_so_before_any_model_is_asked():
    with pytest.raises(UserError, match="the oracle compares no answers; name a judge"):
        make_equivalence("expert", make_expert("oracle"))
