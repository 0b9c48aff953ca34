"""Majority against confidence-weighted vote, by hand."""

import pytest

from eval.numbers.vote import same_answer, verdicts, vote, votes
from reward_fns.errors import UserError


@pytest.fixture
def samples(make_record):
    """Samples of a question: (digit, confidence) each; 7 is right."""

    def make(*given, question_id="q0"):
        return [
            make_record(
                question_id,
                sample=number,
                response=f"1. The digit is {digit}. I'm sure.\nConfidence: 0.5",
                confidence=confidence,
                correct=float(digit == 7),
            )
            for number, (digit, confidence) in enumerate(given)
        ]

    return make


def test_a_sure_sample_outweighs_two_unsure_ones(samples):
    # Majority: 3, twice. Weighted: 7 with 0.9 against 3 with 0.2 + 0.3.
    assert verdicts(samples((3, 0.2), (7, 0.9), (3, 0.3))) == (0.0, 1.0)


def test_ties_are_expectations(samples):
    # Majority: 3, 7 and 8 with a vote each, one of three is right. Weighted: 3 and 7 with 0.4.
    assert verdicts(samples((3, 0.4), (7, 0.4), (8, 0.1))) == (pytest.approx(1 / 3), 0.5)
    # 0.1 + 0.2 is not 0.3 in floating point, and still a tie.
    assert verdicts(samples((3, 0.1), (3, 0.2), (7, 0.3)))[1] == 0.5


def test_what_cannot_be_read_weighs_nothing_and_the_majority_decides_where_nothing_does(samples):
    assert verdicts(samples((7, None), (7, None), (3, 0.1))) == (1.0, 0.0)
    assert verdicts(samples((7, None), (7, 0.0), (3, None))) == (1.0, 1.0)


def test_answers_are_the_same_by_their_statements_in_any_order_and_form():
    listed = "1. It is red. I'm sure.\n2. The digit is 7. I'm not sure.\nConfidence: 0.7"
    other = "1. The digit is  7. I'm sure.\n2. It is RED. I'm sure.\nConfidence: 0.1"
    assert same_answer(listed) == same_answer(other) == same_answer("The digit is 7. It is red.")
    assert same_answer(listed) != same_answer("The digit is 8. It is red.")


def test_the_vote_at_k_takes_the_first_k_samples_of_each_question(samples):
    records = samples((3, 0.2), (7, 0.9), (3, 0.3), (7, 0.1), (7, 0.1))
    records += samples((7, 0.5), (7, 0.5), (7, 0.5), (3, 0.9), (3, 0.9), question_id="q1")
    # The order of the lines does not matter, the samples' numbers do.
    at_3, at_5 = votes(records[::-1])
    assert (at_3.k, at_5.k, at_3.questions) == (3, 5, 2)
    # k = 3: q0 as above (0, 1), q1 (1, 1). k = 5: q0 has 7 thrice and 1.1 against 0.5,
    # q1 has 7 thrice and 1.5 : 1.8.
    assert (at_3.majority.value, at_3.weighted.value) == (0.5, 1.0)
    assert (at_5.majority.value, at_5.weighted.value) == (1.0, 0.5)
    assert at_3.difference.value == 0.5 and at_5.difference.value == -0.5
    assert at_3.single == pytest.approx((1 + 3) / 6) and at_5.single == pytest.approx(6 / 10)
    assert at_3.difference.low == 0 and at_3.difference.high == 1  # resamples of (1, 0)


def test_one_answer_a_question_is_no_vote(samples):
    assert votes(samples((7, 0.5))) == []
    with pytest.raises(UserError, match="no question of base has 2 answers: .*--samples 2"):
        vote(samples((7, 0.5)), 2)
