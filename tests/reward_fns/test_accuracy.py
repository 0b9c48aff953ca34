"""Accuracy of short answers: hand arithmetic on the published rules,
and the scores of the official programs.
"""

import json
from pathlib import Path

import pytest

from reward_fns.accuracy import (
    CONTRACTIONS,
    RULES,
    exact_match,
    most_common,
    normalise,
    normalise_textvqa,
    textvqa_accuracy,
    vqa_accuracy,
)

ROOT = Path(__file__).parents[2]
TEXTVQA = ROOT.parent / "shared" / "data" / "textvqa" / "val_300.json"


@pytest.mark.parametrize(
    ("agree", "score"),
    [
        (0, 0.0),
        (1, 0.3),  # left out once: 0; nine times 1/3: 9/10 * 1/3
        (2, 0.6),  # twice 1/3, eight times 2/3: (2/3 + 16/3) / 10
        (3, 0.9),  # three times 2/3, seven times 1: (2 + 7) / 10
        (4, 1.0),  # four times 3/3, six times 1
        (10, 1.0),
    ],
)
def test_vqa_score_averages_over_nine_of_ten_annotators(agree, score):
    references = ["red"] * agree + ["blue"] * (10 - agree)
    assert vqa_accuracy("Red.", references) == pytest.approx(score, abs=1e-12)


def test_leave_one_out_holds_for_other_numbers_of_annotators_and_one_is_exact_match():
    # Five annotators, two agree: left out twice -> 1/3, three times -> 2/3: (2/3 + 6/3) / 5 = 8/15.
    assert vqa_accuracy("cat", ["cat", "cat", "dog", "dog", "cow"]) == pytest.approx(8 / 15)
    assert vqa_accuracy("cat", ["cat"]) == 1.0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Dog", "dog"),
        ("two cats", "2 cats"),
        ("None", "0"),
        ("1,000", "1000"),  # a comma between digits: marks go away
        ("t-shirt", "t shirt"),  # a mark without a space beside it becomes a space
        ("red, white", "red white"),
        ("red,white", "red white"),
        ("mt. fuji", "mt fuji"),
        ("2.5", "2.5"),
        ("dont know", "don't know"),
        ("don't know", "don't know"),
        ("line\nbreak", "line break"),
        ("well", "well"),
        ("東京", "東京"),
        ("a", ""),
    ],
)
def test_normalisation_follows_the_official_order(answer, expected):
    assert normalise(answer) == expected


def test_no_english_word_is_taken_for_a_contraction():
    words = {"its", "were", "well", "ill", "hell", "shell", "shed", "wed", "id", "whore", "won"}
    assert not words & CONTRACTIONS.keys()


def test_exact_match_takes_any_reference_and_an_empty_answer_is_wrong():
    assert exact_match("A Novel", ["biography", "novel"]) == 1.0
    assert exact_match("novels", ["novel"]) == 0.0
    assert exact_match("an", ["the", "a"]) == 0.0
    for rule in (exact_match, vqa_accuracy, textvqa_accuracy):
        assert rule("", [""] * 10) == rule(" ", ["a"] * 10) == 0.0


@pytest.mark.parametrize("rule", [exact_match, vqa_accuracy, textvqa_accuracy])
@pytest.mark.parametrize("article", ["a", "the"])
def test_a_reference_that_is_an_article_is_right_beside_itself(rule, article):
    assert rule(article, [article] * 10) == 1.0
    assert rule(article, ["b"] * 10) == 0.0


def test_references_that_are_all_the_same_are_compared_as_they_are():
    # The official program leaves both sides as they are, so the processed "red" is not "Red"; a
    # submitted answer is processed, so "Red." is right beside "red".
    assert vqa_accuracy("Red", ["Red"] * 10) == vqa_accuracy("Red.", ["red"] * 10) == 1.0
    assert vqa_accuracy("red", ["Red"] * 10) == 0.0
    assert textvqa_accuracy("red", ["Red"] * 10) == 1.0  # TextVQA's program processes always


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Wendy's", "wendy 's"),
        ("where?now", "wherenow"),
        ("1,000 m", "1000 m"),
        ("the two", "2"),
    ],
)
def test_textvqa_has_its_own_normalisation(answer, expected):
    assert normalise_textvqa(answer) == expected


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("oughtnt", "oughtn't"),
        ("couldnt've", "couldn't've"),
        ("shed've", "she'd've"),
        ("y'alld've", "y'all'd've"),
        ("somebody'd", "somebodyd"),  # turned round in the official program
        ("im", None),  # there under a capital letter, which no word has after lower-casing
    ],
)
def test_contractions_are_those_of_the_official_program(short, full):
    assert CONTRACTIONS.get(short) == full


def variants(references):
    """The answers whose official scores the file of scores holds, in its order."""
    answers = list(dict.fromkeys(references))
    changes = (
        str.upper,
        lambda a: f"{a}.",
        lambda a: f"the {a}",
        lambda a: a.replace("'", ""),
        lambda a: f"{a}'s",
        lambda a: f"two {a}",
    )
    return answers + [changes[i % len(changes)](answer) for i, answer in enumerate(answers)]


@pytest.mark.skipif(not TEXTVQA.exists(), reason=f"no {TEXTVQA}: public data, not in the project")
@pytest.mark.parametrize(("name", "rule"), [("vqa", vqa_accuracy), ("textvqa", textvqa_accuracy)])
def test_scores_are_those_of_the_official_program(name, rule):
    # Made by the official programs (vqaEval.py of VQA, m4c_evaluators.py of MMF)
    # on the variants above.
    scores = json.loads((Path(__file__).parent / "data" / "official_vqa_scores.json").read_text())
    questions = json.loads(TEXTVQA.read_text(encoding="utf-8"))
    compared, submitted = 0, 0
    for question, expected in zip(questions, scores[name], strict=True):
        references = question["answers"]
        agreed = {reference.strip() for reference in references}
        for answer, score in zip(variants(references), expected, strict=True):
            if name == "vqa" and len(agreed) == 1 and answer.strip() not in agreed and score == 0:
                # Official 0 as written, 1 as submitted: the answer after `normalise`.
                assert rule(answer, references) == float(normalise(answer) in agreed)
                submitted += 1
                continue
            assert rule(answer, references) == pytest.approx(score, abs=1e-6), (answer, references)
            compared += 1
    assert compared + submitted == 1836 and submitted < 60


def test_no_reference_is_an_error():
    for rule in (exact_match, vqa_accuracy, lambda _, references: most_common(references)):
        with pytest.raises(ValueError, match="no reference"):
            rule("x", [])


def test_most_common_answer_counts_after_normalisation_and_ties_go_to_the_first():
    assert most_common(["blue", "Two", "2", "red"]) == "Two"
    assert most_common(["red", "blue"]) == "red"


def test_each_qa_dataset_of_the_paper_has_its_rule():
    ten = ["yes"] * 2 + ["no"] * 8
    scores = {dataset: RULES[dataset]("yes", ten) for dataset in RULES}
    assert scores == pytest.approx(
        {"VQAv2": 0.6, "OK-VQA": 0.6, "TextVQA": 0.6, "GQA": 1.0, "OCR-VQA": 1.0}
    )
