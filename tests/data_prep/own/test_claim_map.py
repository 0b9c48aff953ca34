"""Cross-fitted chances: no verdict enters its own target, and they are frequencies."""

from dataclasses import replace

import numpy as np
import pytest

from data_prep.steps.own.claim_map import (
    Answers,
    Fit,
    OwnMap,
    answer_features,
    cross_fitted,
    describe,
)


def simulated(n=2000, seed=0, signal=True):
    """Two answers a question, one or two claims each,
    right with the chance that the model gives them.
    """
    rng = np.random.default_rng(seed)
    per_answer = rng.integers(1, 3, n)
    answer_of = np.repeat(np.arange(n), per_answer)
    chance = rng.uniform(0.05, 0.95, len(answer_of))
    label = (rng.uniform(size=len(answer_of)) < chance).astype(float)
    logprob = np.log(chance if signal else rng.permutation(chance))
    correct = np.bincount(answer_of, weights=label) / per_answer
    question = np.array([f"q{i // 2}" for i in range(n)])
    dataset = np.where(np.arange(n) // 2 % 2, "a", "b")
    return Answers(question, dataset, correct, np.ones(n), logprob, label, answer_of)


def test_chances_are_frequencies_and_tell_right_from_wrong():
    answers = simulated()
    of_answer, of_claim = cross_fitted(answers, 5, 0)
    # A claim is right with the chance exp(logprob): what is to be found.
    assert np.abs(of_claim - np.exp(answers.logprob)).mean() < 0.05
    for chance, correct in ((of_claim, answers.label), (of_answer, answers.correct)):
        fit = Fit.of(chance, correct, np.ones(len(correct)))
        assert fit.ece < 0.04 and fit.auroc > 0.7, fit


def test_no_verdict_enters_its_own_target():
    answers = simulated()
    before = cross_fitted(answers, 5, 0)
    mine = answers.question == "q7"
    my_claims = mine[answers.answer_of]
    turned = replace(
        answers,
        correct=np.where(mine, 1 - answers.correct, answers.correct),
        label=np.where(my_claims, 1 - answers.label, answers.label),
    )
    after = cross_fitted(turned, 5, 0)
    assert np.array_equal(before[0][mine], after[0][mine])
    assert np.array_equal(before[1][my_claims], after[1][my_claims])
    # The verdicts do count for others, else this test could not fail.
    assert not np.array_equal(before[0], after[0])


def test_answers_of_a_question_share_a_fold():
    """Their verdicts are those of one question: one must not be fitted on the other."""
    answers = simulated()
    before, _ = cross_fitted(answers, 5, 0)
    first = np.arange(len(answers.correct)) == 14
    turned = replace(answers, correct=np.where(first, 1 - answers.correct, answers.correct))
    after, _ = cross_fitted(turned, 5, 0)
    assert before[15] == after[15] and answers.question[14] == answers.question[15]


def test_an_answer_counts_as_often_as_it_was_drawn():
    """A count of two is the same as two rows."""
    answers = simulated(400)
    twice = Answers(
        *(np.tile(column, 2) for column in (answers.question, answers.dataset, answers.correct)),
        *(np.tile(column, 2) for column in (answers.weight, answers.logprob, answers.label)),
        np.concatenate([answers.answer_of, answers.answer_of + 400]),
    )
    counted = replace(answers, weight=np.full(400, 2.0))
    by_rows = OwnMap.fit(twice, np.ones(800, dtype=bool), ["a", "b"]).apply(answers)[0]
    by_count = OwnMap.fit(counted, np.ones(400, dtype=bool), ["a", "b"]).apply(answers)[0]
    assert by_count == pytest.approx(by_rows, abs=1e-3)
    assert Fit.of(by_count, answers.correct, counted.weight).n == 800


def test_features_are_mean_and_least_as_log_odds():
    answers = Answers(
        *(np.array(["q", "q"]), np.array(["d", "d"]), np.zeros(2), np.ones(2)),
        *(np.zeros(3), np.zeros(3), np.array([0, 0, 1])),
    )
    features = answer_features(np.array([0.2, 0.6, 0.5]), answers)
    assert features == pytest.approx(np.log([[0.4 / 0.6, 0.2 / 0.8], [1.0, 1.0]]))


def test_a_dataset_has_its_own_offset():
    """The same probability means less where the model is more often wrong."""
    answers = simulated(4000)
    rng = np.random.default_rng(1)
    hard = (answers.dataset == "b")[answers.answer_of]
    label = np.where(hard & (rng.uniform(size=len(hard)) < 0.5), 0.0, answers.label)
    _, of_claim = cross_fitted(replace(answers, label=label), 5, 0)
    for part in (hard, ~hard):
        assert of_claim[part].mean() == pytest.approx(label[part].mean(), abs=0.03)


def test_graded_verdicts_count_on_both_sides():
    # 0.8 above 0.2 by hand: pairs (right weight 0.8 + 0.2, wrong 0.2 + 0.8) -> 0.64 + 0.5 * 0.32.
    fit = Fit.of(np.array([0.9, 0.1]), np.array([0.8, 0.2]), np.ones(2))
    assert fit.auroc == pytest.approx(0.8 * 0.8 + 0.5 * (0.8 * 0.2 + 0.2 * 0.8))
    assert fit.brier == pytest.approx(0.01)


def test_the_file_holds_the_maps_and_how_well_they_do():
    answers = simulated(400)
    found = describe(answers, *cross_fitted(answers, 5, 0))
    assert found["answers"]["n"] == 400 and found["claims"]["n"] == len(answers.label)
    assert set(found["claim_map"]["offsets"]) == {"a", "b"}
    chances = found["answer_map"]["isotonic"]["chance"]
    assert chances == sorted(chances) and 0.01 <= chances[0] and chances[-1] <= 0.99
