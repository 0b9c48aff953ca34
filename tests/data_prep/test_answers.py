"""Equal samples, the most frequent one, and the chance that the model is right."""

import pytest

from data_prep.answers import Answer, chance_of_right, equal_answers, most_frequent, sampled
from data_prep.steps import r_tuning


def candidate(text, count=1):
    return {"text": text, "count": count}


def claim_format(*facts, sure=True, confidence=0.5):
    lines = [
        f"{i}. {fact} I'm {'sure' if sure else 'not sure'}."
        for i, fact in enumerate(facts, start=1)
    ]
    return "\n".join([*lines, f"Confidence: {confidence}"])


def test_plain_answers_are_equal_by_their_normalised_text():
    found = equal_answers(
        [candidate("Oslo.", 2), candidate("Lima."), candidate("oslo", 3)], "plain"
    )
    assert found == [Answer("Oslo.", (), 5), Answer("Lima.", (), 1)]


def test_claims_are_equal_whatever_tags_and_confidence_they_carry():
    candidates = [
        candidate(claim_format("The digit is 3.", sure=False, confidence=0.1)),
        candidate(claim_format("the digit is 3", confidence=0.9), 2),
        candidate(claim_format("The digit is 8.")),
        candidate("The digit is 3.", 4),  # not in the claim format: no answer
    ]
    found = equal_answers(candidates, "claims")
    assert found == [
        Answer("The digit is 3.", ("The digit is 3.",), 3),
        Answer("The digit is 8.", ("The digit is 8.",), 1),
    ]


def test_a_list_that_is_too_long_is_no_answer():
    assert (
        equal_answers([candidate(claim_format(*(f"Fact {i}." for i in range(65))))], "claims") == []
    )


def test_the_earliest_of_equally_frequent_answers_is_taken():
    answers = [Answer("a", (), 1), Answer("b", (), 2), Answer("c", (), 2)]
    assert most_frequent(answers).text == "b"


def test_empty_answers_were_sampled_too():
    assert sampled({"candidates": [candidate("a", 3), candidate("b", 2)], "empty": 5}) == 10


@pytest.mark.parametrize(
    ("right", "n", "chance"),
    [
        (1, 1, 2 / 3),
        (0, 1, 1 / 3),
        (5, 5, 6 / 7),
        (1.5, 2, 0.625),
        (10, 10, 11 / 12),
        (0, 10, 1 / 12),
    ],
)
def test_chance_of_right_by_hand(right, n, chance):
    assert chance_of_right(right, n) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("correct", "samples", "n", "expected"),
    [
        (1.0, [(1.0, 6), (0.0, 4)], 10, True),
        (1.0, [(1.0, 5), (0.0, 5)], 10, False),  # right, but only half of the samples are
        (
            0.0,
            [(0.0, 4), (1.0, 3), (1.0, 3)],
            10,
            False,
        ),  # consistent in being right elsewhere, the answer is wrong
        (1.0, [(1.0, 3), (1.0, 3), (0.0, 4)], 10, True),  # two wordings of the truth
        (1.0, [(1.0, 2)], 10, False),  # eight empty ones
        (0.5, [(0.5, 10)], 10, False),  # half of a description is not right
        (0.75, [(0.75, 10)], 10, True),
    ],
)
def test_certain_is_right_and_consistent(correct, samples, n, expected):
    assert r_tuning.certain(correct, samples, n) is expected


def test_r_tuning_states_one_tag_for_all_and_no_confidence():
    text = r_tuning.render(["A red 3 is at the top left.", "A blue 7 is at the top right."], False)
    assert text == (
        "1. A red 3 is at the top left. I am not sure.\n"
        "2. A blue 7 is at the top right. I am not sure."
    )


@pytest.mark.parametrize(
    "fact", ["I'm sure.", "Confidence: 0.3", "", "a\n2. b", "It is, I'm sure. Red"]
)
def test_r_tuning_writes_nothing_that_reads_back_otherwise(fact):
    with pytest.raises(ValueError, match="facts"):
        r_tuning.render([fact], True)
