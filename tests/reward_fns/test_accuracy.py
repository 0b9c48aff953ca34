"""Accuracy of short answers: hand arithmetic on the published rules."""

import pytest

from reward_fns.accuracy import (
    CONTRACTIONS,
    RULES,
    exact_match,
    most_common,
    normalise,
    vqa_accuracy,
)


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
    assert exact_match("the", ["the", "a"]) == 0.0
    assert vqa_accuracy("", [""] * 10) == 0.0


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
