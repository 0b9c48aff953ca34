"""sc_own by hand: the share of samples that say what this answer says."""

import pytest

from eval.protocols.own_consistency import share_of_own

SEVEN, THREE, RED = "The digit is 7.", "The digit is 3.", "It is red."


def test_one_statement_is_the_share_of_samples_that_give_it():
    samples = [[SEVEN], [SEVEN], [THREE], ["the digit is 7"]]
    assert share_of_own([SEVEN], samples) == 3 / 4
    # An answer outside the majority has its own confidence; SC would give both 3/4.
    assert share_of_own([THREE], samples) == 1 / 4


def test_several_statements_are_averaged():
    samples = [[SEVEN, RED], [SEVEN], [RED, RED], []]
    assert share_of_own([SEVEN, RED], samples) == pytest.approx((2 / 4 + 2 / 4) / 2)
    assert share_of_own([SEVEN, THREE], samples) == pytest.approx((2 / 4 + 0) / 2)


def test_contradictions_that_the_encoder_merges_are_two():
    assert share_of_own(["Yes, there is a dog."], [["No, there is no dog."]]) == 0


def test_an_answer_that_says_nothing_has_none():
    assert share_of_own([], [[SEVEN]]) is None
