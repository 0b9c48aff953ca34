"""Semantic voting: which answers are Better and Worse, why there is no pair,
and how divided the model is.
"""

import pytest

from data_prep.steps.pair import pair


def _votes(*votes):
    """(text, count, true votes of ten or None)."""
    return {
        "question_id": "q",
        "dataset": "d",
        "votes": [
            {
                "text": text,
                "count": count,
                "true_votes": true or 0,
                "votes": 0 if true is None else 10,
                "verdict": None if true is None else true > 5,
            }
            for text, count, true in votes
        ],
    }


def test_better_is_the_most_similar_true_and_worse_the_least_similar_false():
    record = pair(_votes(("a", 2, 9), ("b", 1, 6), ("c", 4, 5), ("d", 3, 0)), [0.1, 0.7, -0.2, 0.9])
    assert (record["better"], record["better_similarity"]) == ("b", 0.7)
    assert (record["worse"], record["worse_similarity"]) == ("c", -0.2)
    assert record["reason"] is None
    # True: a and b, 3 of 10 answers. Margins |2t/10 - 1|: 0.8, 0.2, 0, 1;
    # (2*0.8 + 0.2 + 0 + 3*1) / 10 = 0.48.
    assert (record["share_true"], record["vote_margin"]) == (0.3, 0.48)


def test_of_equally_similar_answers_the_first_is_taken():
    # The similarities differ in the fifth decimal only.
    record = pair(
        _votes(("a", 1, 9), ("b", 1, 9), ("c", 1, 1), ("d", 1, 1)), [0.50001, 0.50002, 0.3, 0.29999]
    )
    assert (record["better"], record["worse"]) == ("a", "c")


@pytest.mark.parametrize(
    ("votes", "reason", "better"),
    [
        ([("a", 10, 9)], "all equal", "a"),
        ([("a", 10, 1)], "all equal", None),
        ([("a", 5, 9), ("b", 5, 8)], "all true", "b"),
        ([("a", 5, 1), ("b", 5, 2)], "all false", None),
        ([("a", 5, None), ("b", 5, None)], "no verdict", None),
        ([("a", 5, 9), ("b", 5, None)], "all true", "a"),
    ],
)
def test_why_there_is_no_pair(votes, reason, better):
    record = pair(_votes(*votes), [0.1, 0.2][: len(votes)])
    assert (record["reason"], record["better"]) == (reason, better)


def test_answers_without_a_verdict_take_no_part():
    # Of the 7 answers with a verdict 4 are True; both margins are 0.8.
    record = pair(_votes(("a", 4, 9), ("b", 3, None), ("c", 3, 1)), [0.1, 0.9, 0.2])
    assert (record["better"], record["worse"]) == ("a", "c")
    assert (record["share_true"], record["vote_margin"]) == (0.5714, 0.8)
    nothing = pair(_votes(("a", 4, None)), [0.1])
    assert (nothing["share_true"], nothing["vote_margin"]) == (None, None)
