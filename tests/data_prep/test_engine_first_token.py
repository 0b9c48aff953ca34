"""Word probabilities from the listed tokens, by hand arithmetic."""

import math

import pytest

from data_prep.engines.first_token import unlisted_mass, variants, word_probabilities
from data_prep.engines.interface import (
    Completion,
    RefusedRequests,
    Sampling,
    all_answered,
    sum_by_text,
)
from reward_fns.errors import UserError

# 0.4 + 0.2 + 0.1 = 0.7 for yes, 0.05 for no, "Maybe" counts for nothing;
# 1 - 0.4 - 0.2 - 0.1 - 0.05 - 0.15 = 0.1
TOP = {
    text: math.log(p)
    for text, p in {"Yes": 0.4, " yes": 0.2, "▁YES": 0.1, "No": 0.05, "Maybe": 0.15}.items()
}


def test_variants_of_a_word_are_added_and_an_unlisted_word_has_none():
    assert word_probabilities(TOP, ("yes", "no", "true")) == pytest.approx(
        {"yes": 0.7, "no": 0.05, "true": 0}
    )


def test_a_longer_word_is_not_a_variant():
    assert word_probabilities({"Yesterday": -0.1, "Noo": -3.0}, ("yes", "no")) == {
        "yes": 0,
        "no": 0,
    }


def test_variants_are_listed_by_probability():
    assert variants(TOP, ("yes", "true")) == {"yes": ["Yes", " yes", "▁YES"], "true": []}


def test_the_mass_of_what_is_not_listed():
    assert unlisted_mass(TOP) == pytest.approx(0.1)
    assert unlisted_mass({"a": 1e-12}) == 0  # rounding never makes it negative


def test_tokens_of_one_text_are_summed():
    # log(0.3 + 0.1 + 0.2) = log(0.6)
    summed = sum_by_text(
        [("a", math.log(0.3)), ("b", math.log(0.4)), ("a", math.log(0.1)), ("a", math.log(0.2))]
    )
    assert summed == pytest.approx({"a": math.log(0.6), "b": math.log(0.4)})


def test_tokens_of_no_probability_are_summed():
    assert sum_by_text([("a", -math.inf), ("a", -math.inf), ("b", -1.0)]) == {
        "a": -math.inf,
        "b": -1.0,
    }


def test_a_batch_with_refusals_keeps_its_answers():
    answers = [[Completion("a")], UserError("too long"), [Completion("b")]]
    with pytest.raises(
        RefusedRequests, match="^1 of 3 requests refused, the first: too long$"
    ) as caught:
        all_answered(answers)
    assert caught.value.answers == answers
    assert all_answered(answers[::2]) == answers[::2]


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"max_tokens": 0},
        {"n": 0},
        {"top_logprobs": 21},
    ],
)
def test_sampling_out_of_range(values):
    with pytest.raises(ValueError, match="sampling needs"):
        Sampling(**values)
