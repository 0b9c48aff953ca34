"""Equations (1) to (3) by hand, and what is undefined."""

import math

import pytest

from data_prep.steps.statistics.tally import Tally, count_entities


def records():
    found = [
        ("a", ["oslo", "lima"]),
        ("a", ["oslo"]),
        ("a", []),
        ("a", ["oslo", "oslo", "riga"]),
        ("b", ["oslo"]),
    ]
    return [
        {"question_id": str(i), "dataset": name, "entities": names}
        for i, (name, names) in enumerate(found)
    ]


def test_equations_one_to_three():
    tally = count_entities(records())["a"]
    tally.questions = 6  # four with a Better answer, two without
    tally.labels.update({"contradiction": 1, "entailment": 2, "neutral": 1})
    # counts in the corpus: oslo 4, lima 1, riga 1; entities in all 6
    assert tally.avg_entity_count == pytest.approx(6 / 4)
    # sum over entities of their count: (4 + 1) + 4 + 0 + (4 + 4 + 1) = 18; 18 / 6
    assert tally.avg_entity_rarity == pytest.approx(3.0)
    assert tally.rarity_score == pytest.approx(1e4 * 1.5 / (3.0 * math.log(16)))
    assert [tally.share(label) for label in ("entailment", "contradiction", "neutral")] == [
        50.0,
        25.0,
        25.0,
    ]
    assert tally.statistics().num_samples == 6 and tally.statistics().contradiction_pct == 25.0
    assert tally.undefined is None


def test_a_corpus_is_one_dataset():
    assert count_entities(records())["b"].avg_entity_rarity == 1.0


def test_the_mean_of_the_questions_weighted_by_their_entities_is_equation_two():
    tally = count_entities(records())["a"]
    own = [
        (tally.question_rarity(r["entities"]), len(r["entities"]))
        for r in records()
        if r["dataset"] == "a"
    ]
    assert [rarity for rarity, _ in own] == [2.5, 4.0, None, 3.0]  # (4+1)/2, 4, nothing, (4+4+1)/3
    assert sum(rarity * n for rarity, n in own if n) / 6 == pytest.approx(tally.avg_entity_rarity)


@pytest.mark.parametrize(
    ("tally", "reason"),
    [
        (Tally("a", questions=3), "no Better answer"),
        (Tally("a", questions=3, responses=2), "no named entity in any Better answer"),
    ],
)
def test_without_entities_rarity_is_undefined_and_the_reason_is_told(tally, reason):
    tally.labels["contradiction"] += 1
    assert (
        tally.avg_entity_rarity is None
        and tally.rarity_score is None
        and tally.statistics() is None
    )
    assert reason in tally.undefined


def test_without_labels_the_shares_are_undefined():
    tally = count_entities(records())["a"]
    assert tally.share("neutral") is None and tally.statistics() is None
    assert "no labelled pair" in tally.undefined
