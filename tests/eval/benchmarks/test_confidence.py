"""What a confidence is worth against hallucination: calibration, operating curve, filter."""

import json

import numpy as np
import pytest

from eval.__main__ import main
from eval.benchmarks.claim_confidence import rated_claims
from eval.benchmarks.claim_truth import ClaimObjects, Described, object_calibration
from eval.benchmarks.filtering import filter_response
from eval.benchmarks.operating_curve import gain_at_equal_recall, operating_curve
from reward_fns.errors import UserError

ANSWER = "1. A dog. I'm sure.\n2. A cat. I'm not sure.\nConfidence: 0.6"


@pytest.mark.parametrize(
    ("source", "confidences"),
    [("tag", (1.0, 0.0)), ("stated", (0.6, 0.6)), ("tag_probability", (0.9, 0.3))],
)
def test_the_confidence_of_a_claim_by_source(source, confidences):
    found = rated_claims(ANSWER, source, [0.9, 0.3])
    assert tuple(claim.confidence for claim in found) == confidences


def test_an_unknown_confidence_is_none():
    assert [c.confidence for c in rated_claims(ANSWER, "tag_probability")] == [None, None]
    (claim,) = rated_claims("A dog.", "tag")
    assert (claim.text, claim.confidence) == ("A dog.", None)


def described(item, claims, truth):
    return Described(item, tuple(ClaimObjects(m, c) for m, c in claims), frozenset(truth))


TWO = [
    # a true sure claim, a hallucinated unsure one, a claim without objects
    described("1", [(("dog",), 0.9), (("cat",), 0.2), ((), 0.1)], ["dog", "car"]),
    # a hallucinated sure claim, a true unsure one, one whose confidence is unknown
    described("2", [(("bus", "bus"), 0.8), (("man",), 0.4), (("hat",), None)], ["man"]),
]


def test_object_calibration_by_hand():
    found = object_calibration(TWO)
    assert (found.claims, found.unread) == (5, 1)
    assert found.hallucinated_when_sure.value == 1 / 2  # bus of dog and bus
    assert found.hallucinated_when_unsure.value == 1 / 2  # cat of cat and man
    # right at 0.9 and 0.4, wrong at 0.2 and 0.8: in order are 0.9 > 0.2, 0.9 > 0.8 and 0.4 > 0.2
    assert found.estimates["auroc"].value == 3 / 4
    # 0.01 + 0.04 + 0.64 + 0.36 over 4
    assert found.estimates["brier"].value == pytest.approx(1.05 / 4)


def test_the_operating_curve_by_hand():
    found = operating_curve(TWO)
    # kept of six claims; hallucinated of mentions; objects told of 2 + 1
    assert [(p.threshold, p.kept, p.rate, p.recall) for p in found] == [
        (None, 1, 4 / 6, 2 / 3),  # cat, bus, bus, hat of dog, cat, bus, bus, man, hat
        (0.1, 5 / 6, 3 / 5, 2 / 3),  # the unknown one is gone
        (0.2, 4 / 6, 3 / 5, 2 / 3),
        (0.4, 3 / 6, 2 / 4, 2 / 3),
        (0.8, 2 / 6, 2 / 3, 1 / 3),
        (0.9, 1 / 6, 0 / 1, 1 / 3),
    ]
    assert operating_curve([]) == []


def many(informed, seed=0, n=200):
    """Two claims an image, one right and one wrong in turn by chance;
    confidence knows it, or is drawn.
    """
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        claims = []
        for name in ("dog", "cat"):
            true = rng.random() < 0.7
            known = 0.5 + (0.4 if true else -0.4)
            claims.append(((name if true else f"no {name}",), known if informed else rng.random()))
        out.append(described(str(i), claims, ["dog", "cat"]))
    return out


def test_an_informed_confidence_gains_and_a_drawn_one_does_not():
    informed, drawn = gain_at_equal_recall(many(True)), gain_at_equal_recall(many(False))
    # all wrong claims can be dropped without a loss of recall: the rate falls from about 0.3 to 0
    assert informed.value == pytest.approx(-0.3, abs=0.06)
    assert informed.high < 0
    assert drawn.low < 0 < drawn.high


def test_two_models_are_compared_at_the_lower_full_recall_on_the_same_images():
    # the same claims: at the full recall the informed one has dropped what is wrong
    found = gain_at_equal_recall(many(True), many(False), share=1.0)
    assert found.high < 0
    same = gain_at_equal_recall(many(True), many(True))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    with pytest.raises(UserError, match="different images"):
        gain_at_equal_recall(many(True), many(True, n=5))


def test_answers_without_confidence_have_one_point_and_no_gain():
    plain = [described("1", [(("dog", "cat"), None)], ["dog"])]
    assert [(p.rate, p.recall) for p in operating_curve(plain)] == [(1 / 2, 1)]
    assert gain_at_equal_recall(plain).value == 0


@pytest.mark.parametrize(
    ("action", "response"),
    [
        ("remove", "1. A dog. I'm sure.\nConfidence: 0.6"),
        ("mark", "1. A dog. I'm sure.\n2. Perhaps: A cat. I'm not sure.\nConfidence: 0.6"),
    ],
)
def test_unsure_claims_are_removed_or_marked(action, response):
    found = filter_response(ANSWER, 0.5, action)
    assert (found.response, found.unsure, found.claims) == (response, 1, 2)


def test_filtering_by_other_sources_and_what_cannot_be_filtered():
    assert filter_response(ANSWER, 0.5, "remove", "stated").response == ANSWER
    assert filter_response(ANSWER, 0.7, "remove", "stated").response == ""
    by_probability = filter_response(ANSWER, 0.5, "remove", "tag_probability", [0.2, 0.8])
    assert by_probability.response == "1. A cat. I'm not sure.\nConfidence: 0.6"
    plain = filter_response("A dog.", 0.5, "remove")
    assert (plain.response, plain.filtered) == ("A dog.", False)


def test_the_command_filters_a_file_of_answers(tmp_path, capsys):
    answers, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lines = [{"question_id": "1", "response": ANSWER}, {"question_id": "2", "response": "A dog."}]
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["filter", "--answers", str(answers), "--out", str(out)]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert found[0]["response"] == "1. A dog. I'm sure.\nConfidence: 0.6"
    assert [line["unsure_claims"] for line in found] == [1, 0]
    assert "1 of 2 claims removed in 2 answers; 1 answers are not" in capsys.readouterr().out


def test_the_command_names_what_is_wrong(tmp_path, capsys):
    answers = tmp_path / "a.jsonl"
    answers.write_text('{"text": "A dog."}\n')
    command = ["filter", "--answers", str(answers), "--out"]
    assert main([*command, str(tmp_path / "b.jsonl")]) == 1
    assert "line 1 has no text `response`" in capsys.readouterr().err
    assert main([*command, str(answers)]) == 1
    assert "name another one" in capsys.readouterr().err
