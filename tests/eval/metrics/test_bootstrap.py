"""Resamples are the ordinary bootstrap's, metrics on them are exact, strata keep their size,
pairs stay together.
"""

import math

import numpy as np
import pytest

from eval.metrics import (
    METRICS,
    accuracy,
    auroc,
    bootstrap_interval,
    estimate_all,
    registry,
    resampling,
)
from eval.metrics import paired_bootstrap_difference as difference
from eval.metrics.ranked import rank

FUNCTIONS = {name: function for function, name in registry.NAME_OF.items()}


def test_every_metric_has_its_public_function():
    assert FUNCTIONS.keys() == METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("grid", [True, False])
def test_a_resample_of_counts_is_the_metric_of_the_answers_drawn(name, grid):
    rng = np.random.default_rng(3)
    c = rng.integers(0, 11, 60) / 10 if grid else rng.random(60)
    y = rng.integers(0, 3, 60) / 2
    kinds, count, border = resampling.distinct([c, y], None)
    answers = rank(c[kinds], y[kinds])
    (drawn,) = resampling.resampled_counts(count, border, 8, np.random.default_rng(1))
    values = METRICS[name].rows(answers, answers.weights(drawn))
    for counts, value in zip(drawn.astype(int), values, strict=True):
        assert counts.sum() == 60
        expected = FUNCTIONS[name](np.repeat(c[kinds], counts), np.repeat(y[kinds], counts))
        assert value == pytest.approx(expected, abs=1e-10, nan_ok=True)


@pytest.mark.parametrize(
    "copies", [1, 40]
)  # 1: answers are drawn one by one; 40: their counts are drawn at once
def test_draws_have_the_moments_of_the_bootstrap(copies):
    # the share of 5 among 5 kinds: each count is Binomial(n, 1/5), mean n/5, variance 4n/25
    count = np.full(5, copies)
    n = 5 * copies
    (drawn,) = resampling.resampled_counts(count, np.array([0, 5]), 4000, np.random.default_rng(0))
    assert (drawn.sum(axis=1) == n).all()
    assert drawn.mean(axis=0) == pytest.approx(np.full(5, n / 5), rel=0.05)
    assert drawn.var(axis=0) == pytest.approx(np.full(5, 4 * n / 25), rel=0.1)


def test_strata_keep_their_size():
    c, y = np.array([0.1, 0.2, 0.1, 0.2, 0.9]), np.zeros(5)
    kinds, count, border = resampling.distinct([c, y], ["a", "a", "b", "b", "b"])
    assert count.tolist() == [1, 1, 1, 1, 1] and border.tolist() == [0, 2, 5]
    (drawn,) = resampling.resampled_counts(count, border, 50, np.random.default_rng(0))
    assert (drawn[:, :2].sum(axis=1) == 2).all() and (drawn[:, 2:].sum(axis=1) == 3).all()


def test_one_answer_a_stratum_leaves_nothing_to_chance():
    c, y = [0.2, 0.6, 0.9], [0, 1, 1]
    low, high = bootstrap_interval("brier", c, y, strata=["a", "b", "c"])
    assert low == high == pytest.approx((0.04 + 0.16 + 0.01) / 3)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # accuracy 0.7, n = 100: the share of 95 % intervals that hold 0.7 is 0.95 up
    # to the discreteness of the binomial
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        y = (rng.random(100) < 0.7).astype(float)
        low, high = bootstrap_interval(accuracy, np.full(100, 0.5), y, n_resamples=400)
        held += low <= 0.7 <= high
    assert 0.91 < held / 300 < 0.98


def test_memory_batches_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    c, y = rng.random(50), rng.integers(0, 2, 50)
    whole = bootstrap_interval(auroc, c, y, 100)
    monkeypatch.setattr(resampling, "_VALUES_PER_BATCH", 700)
    assert bootstrap_interval(auroc, c, y, 100) == whole


def test_a_model_does_not_differ_from_itself():
    rng = np.random.default_rng(0)
    c, y = rng.random(80), rng.integers(0, 2, 80)
    same = difference("auroc", c, y, c, y)
    assert (same.value, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_pairs_stay_together():
    # b is always 0.1 less sure than a and both are always wrong: the Brier difference of each
    # question is c^2 - (c - 0.1)^2 = 0.2 c - 0.01, whose mean over a resample has a far narrower
    # interval than either score
    c = np.linspace(0.1, 1, 200)
    y = np.zeros(200)
    found = difference("brier", c, y, c - 0.1, y)
    assert found.value == pytest.approx(0.2 * c.mean() - 0.01)
    assert found.low < found.value < found.high and found.p_value == pytest.approx(2 / 1000)
    alone = bootstrap_interval("brier", c, y)
    assert found.high - found.low < (alone[1] - alone[0]) / 3


def test_a_difference_needs_the_same_questions():
    with pytest.raises(ValueError, match="same questions"):
        difference("ece", [0.5], [1], [0.5, 0.5], [1, 1])
    with pytest.raises(ValueError, match="strata"):
        bootstrap_interval("ece", [0.5, 0.4], [1, 0], strata=["a"])


def test_parse_failures_are_counted_and_left_out_of_all_but_accuracy():
    found = estimate_all([0.5, None, 0.5, None], [1, 1, 0, 0], metrics=["ece", "accuracy", "auroc"])
    assert {(e.n, e.parse_failures) for e in found.values()} == {(4, 2)}
    assert found["ece"].value == 0.0 and found["accuracy"].value == 0.5 and found["ece"].bins == 10


@pytest.mark.parametrize(
    ("confidence", "correct", "reason"),
    [
        ([], [], "no answers"),
        ([None], [1.0], "no answer states"),
        ([0.1, 0.2], [1, 1], "all answers are right"),
        ([0.1, 0.2], [0, 0], "all answers are wrong"),
        ([0.1, 0.2], [0.5, 0.5], "all verdicts are equal"),
    ],
)
def test_an_undefined_value_says_why(confidence, correct, reason):
    found = estimate_all(confidence, correct, metrics=["prr", "brier"])
    assert (
        math.isnan(found["prr"].value)
        and math.isnan(found["prr"].low)
        and reason in found["prr"].reason
    )
    assert (found["brier"].reason == "") is not math.isnan(found["brier"].value)


def test_answers_to_one_question_are_drawn_together():
    """40 questions with 10 equal answers each hold 40 questions' evidence, not 400."""
    rng = np.random.default_rng(3)
    right = (rng.random(40) < 0.6).astype(float)
    stated = rng.random(40)
    c, y, question = (np.repeat(column, 10) for column in (stated, right, np.arange(40)))
    one = estimate_all(stated.tolist(), right, metrics=["accuracy", "brier"])
    ten = estimate_all(c.tolist(), y, metrics=["accuracy", "brier"], clusters=question)
    loose = estimate_all(c.tolist(), y, metrics=["accuracy"])
    for name in ("accuracy", "brier"):
        assert ten[name].value == pytest.approx(one[name].value)
        width = ten[name].high - ten[name].low
        assert width == pytest.approx(one[name].high - one[name].low, rel=0.1)
    # Binomial: 2 * 1.96 * sqrt(p (1 - p) / 40) against / 400.
    p = right.mean()
    assert ten["accuracy"].high - ten["accuracy"].low == pytest.approx(
        2 * 1.96 * (p * (1 - p) / 40) ** 0.5, rel=0.12
    )
    narrow = loose["accuracy"].high - loose["accuracy"].low
    assert narrow == pytest.approx(2 * 1.96 * (p * (1 - p) / 400) ** 0.5, rel=0.12)


def test_clusters_keep_the_strata_and_a_paired_difference_of_equals_is_nothing():
    c = np.tile([0.2, 0.4, 0.6, 0.8], 20)
    y = np.tile([0.0, 1.0, 0.0, 1.0], 20)
    question, strata = np.arange(80) // 2, np.arange(80) // 40
    found = difference("brier", c, y, c, y, strata=strata, clusters=question, n_resamples=50)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="two strata"):
        estimate_all(c.tolist(), y, np.arange(80) % 2, ["brier"], clusters=question)


@pytest.mark.parametrize("samples", [1, 2])
def test_little_bootstraps_have_the_width_of_the_whole_one(samples, monkeypatch):
    """6,000 answers of any confidence, in two datasets; with two answers a question,
    the questions are drawn.

    The end of an interval from 1,000 resamples is off by some 4 % of its width,
    the little ones' by a little more.
    """
    rng = np.random.default_rng(8)
    question = np.arange(6000) // samples
    c = rng.random(6000)
    y = (rng.random(6000) < c).astype(float)
    names = ["brier", "auroc", "aurc"]
    strata = question % 2

    def intervals():
        return estimate_all(c, y, strata, names, clusters=question)

    monkeypatch.setattr(resampling, "LARGEST", 10_000)
    whole = intervals()
    monkeypatch.setattr(resampling, "LARGEST", 1000)
    monkeypatch.setattr(resampling, "BAG", 1000)
    little = intervals()
    for name in names:
        width = whole[name].high - whole[name].low
        assert little[name].value == whole[name].value
        assert little[name].low == pytest.approx(whole[name].low, abs=0.12 * width)
        assert little[name].high == pytest.approx(whole[name].high, abs=0.12 * width)
        assert little[name] != whole[name]
