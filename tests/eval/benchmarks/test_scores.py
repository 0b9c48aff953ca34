"""Every rate of the benchmarks on cases computed by hand."""

import json

import numpy as np
import pytest

from eval.benchmarks import mmhal, objhal, pope, yes_no
from eval.benchmarks.rates import ratio, share
from eval.benchmarks.views import counted_text, judged_text, statements
from reward_fns.errors import UserError

CLAIMS = "1. A dog. I'm sure.\n2. A cat. I'm not sure.\nConfidence: 0.6"


def test_objhal_rates_of_three_responses():
    counts = [
        # dog, dog, cat against {dog, car}: 1 of 3 mentions, 1 of 2 objects; tells 1 of 2
        objhal.count_objects(["dog", "dog", "cat"], {"dog", "car"}, "a dog, the dog, a cat"),
        # car against {car}: nothing wrong; tells 1 of 1
        objhal.count_objects(["car"], {"car"}, "a car"),
        # nothing mentioned; tells 0 of 2
        objhal.count_objects([], {"bus", "person"}, "nice"),
    ]
    found = objhal.score(counts)
    assert found.response_rate.value == 1 / 2  # one of the two that mention an object
    assert found.mention_rate.value == 1 / 4
    assert found.chair_s.value == 1 / 3  # one of all three
    assert found.chair_i.value == 1 / 3  # cat of {dog, cat} and {car}
    assert found.recall.value == 2 / 5  # dog and car of 2 + 1 + 2
    assert found.words.value == 9 / 3  # 6 + 2 + 1
    assert found.mentions.value == 4 / 3


def test_abstaining_lowers_the_rates_and_the_recall_shows_it():
    told = objhal.score([objhal.count_objects(["dog", "cat"], {"dog"}, "a dog and a cat")])
    silent = objhal.score([objhal.count_objects([], {"dog"}, "an image")])
    assert silent.chair_s.value < told.chair_s.value
    assert silent.recall.value == 0 and told.recall.value == 1
    assert np.isnan(silent.response_rate.value) and silent.response_rate.cell is None


@pytest.mark.parametrize(
    ("paper", "score", "rate"),
    [
        (False, 9 / 3, 1 / 3),  # 6, 3, 0: one below 3; the unreadable one is in neither
        (True, 9 / 4, 2 / 4),  # 6, 3, 0, 0
    ],
)
def test_mmhal_counts_an_unreadable_rating_apart_or_as_the_paper_does(paper, score, rate):
    ratings = [mmhal.Rating("counting", value) for value in (6, 3, 0, None)]
    found = mmhal.score(ratings, paper)
    assert (found.score.value, found.hallucination_rate.value) == (score, rate)
    assert found.unreadable == 1


def test_mmhal_by_type_keeps_the_order_of_the_file():
    ratings = [mmhal.Rating(kind, value) for kind, value in (("b", 6), ("a", 2), ("b", 2))]
    found = mmhal.score_by_type(ratings)
    assert list(found) == ["b", "a"]
    assert found["b"].score.value == 8 / 2
    assert found["b"].hallucination_rate.value == 1 / 2
    assert found["a"].hallucination_rate.value == 1


@pytest.mark.parametrize(
    ("positive", "precision", "recall", "f1"),
    [
        ("yes", 2 / 3, 2 / 3, 4 / 6),  # TP 2, FP 1, FN 1
        ("no", 1 / 2, 1 / 3, 2 / 5),  # TP 1, FP 1, FN 2, one of which is unreadable
    ],
)
def test_yes_no_scores(positive, precision, recall, f1):
    pairs = [("yes", "yes"), ("yes", "yes"), ("yes", "no")]
    pairs += [("no", "no"), ("no", "yes"), ("no", None)]
    answers = [yes_no.YesNo(truth, said, str(i)) for i, (truth, said) in enumerate(pairs)]
    found = yes_no.score(answers, positive)
    assert found.accuracy.value == 3 / 6
    assert (found.precision.value, found.recall.value) == (precision, recall)
    assert found.f1.value == f1
    assert found.yes_share.value == 3 / 6
    assert found.unreadable == 1


@pytest.mark.parametrize(
    ("response", "read"),
    [
        ("Yes", "yes"),
        ("**No**, there is not.", "no"),
        ("1. Yes, there is a snowboard. I'm sure.\nConfidence: 0.9", "yes"),
        ("1. There is no snowboard. I'm not sure.\nConfidence: 0.4", "no"),
        ("There are two dogs.", "yes"),
        ("There isn't a dog.", "no"),
        ("There are not any.", "no"),
        ("False", "no"),
        ("True.", "yes"),
        ("A dog with no tail.", None),
        ("Nobody is there.", None),
        ("I cannot say yes.", None),
        ("", None),
    ],
)
def test_yes_or_no_is_read_at_the_beginning_only(response, read):
    assert yes_no.read_yes_no(response) == read


RECORDS = [
    {"question_id": 1, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "yes"},
    {"question_id": 2, "image": "a.jpg", "text": "Is there a cat in the image?", "label": "no"},
]


@pytest.mark.parametrize(
    "text", [json.dumps(RECORDS), "\n".join(map(json.dumps, RECORDS))], ids=["array", "lines"]
)
def test_both_shapes_of_pope_are_read(tmp_path, text):
    (tmp_path / "coco_pope_random.json").write_text(text)
    questions = pope.read_questions(tmp_path)
    assert [one.item.item_id for one in questions] == ["random-1", "random-2"]
    found = pope.score_pope(questions, {"random-1": "Yes", "random-2": "Yes"})
    assert found["random"].accuracy.value == found["all"].accuracy.value == 1 / 2


def test_a_broken_pope_label_is_named(tmp_path):
    (tmp_path / "x_popular.json").write_text(json.dumps([RECORDS[0] | {"label": "maybe"}]))
    with pytest.raises(UserError, match="record 0: label is 'maybe'"):
        pope.read_questions(tmp_path)


def test_views_of_a_claim_format_answer():
    assert counted_text(CLAIMS, "raw") == judged_text(CLAIMS, "raw") == CLAIMS
    assert counted_text(CLAIMS, "asserted") == judged_text(CLAIMS, "asserted") == "A dog.\nA cat."
    assert counted_text(CLAIMS, "hedged") == "A dog."
    assert judged_text(CLAIMS, "hedged") == "A dog.\nPerhaps: A cat."
    # what is not in the claim format hedges nothing
    assert counted_text("A dog. A cat.", "hedged") == "A dog.\nA cat."
    with pytest.raises(ValueError, match="no view"):
        statements(CLAIMS, "other")


def test_the_interval_of_a_share_is_not_empty_at_zero():
    found = share([False] * 12)
    # Wilson: z^2 / (n + z^2) with z = 1.96
    assert found.low == 0 and found.high == pytest.approx(3.8415 / 15.8415, abs=1e-4)


def test_a_ratio_of_clustered_responses_has_the_wider_interval():
    hits = np.repeat(np.random.default_rng(0).random(50) < 0.5, 6)  # six equal answers an image
    images = [str(i // 6) for i in range(300)]
    alone, together = ratio(hits, np.ones(300)), ratio(hits, np.ones(300), images)
    assert alone.value == together.value
    # six equal answers are one: wider by the root of 6 = 2.45
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(2.45, rel=0.2)
