"""Two models on the same questions, the verdicts, and what the summary says of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from eval.comparison import (
    COMPARED,
    Comparison,
    adjusted,
    compare,
    compare_all,
    compare_columns,
    comparison_table,
    holm,
    key_comparisons,
)
from eval.numbers.summarise import POOLED, summarise
from eval.numbers.values import Interval
from eval.records.chosen import by_model_and_protocol
from eval.records.columns import columns
from eval.report.summary import summaries


def answers(make_record, model, confidence, n=40, **changes):
    """Half of n answers are right, all with one confidence: the ECE is |1/2 - confidence|."""
    return [
        make_record(f"q{i}", model=model, confidence=confidence, correct=float(i % 2), **changes)
        for i in range(n)
    ]


def test_only_questions_that_both_answer_with_a_readable_confidence_enter(make_record):
    a = answers(make_record, "rl", 0.5)
    b = [
        replace(record, confidence=None) if record.question_id == "q3" else record
        for record in answers(make_record, "base", 0.9)[:20]
    ]
    found = compare(a, b, "ece")
    # 20 questions of b, one of them unread; without q3, which is right, b is right on 9 of 19
    assert found.n == 19
    assert found.value_b == pytest.approx(0.9 - 9 / 19)
    assert found.difference.value == pytest.approx(abs(9 / 19 - 0.5) - (0.9 - 9 / 19))


def test_samples_of_a_question_are_paired_one_by_one(make_record):
    a = [make_record("q0", model="a", sample=k, confidence=0.5, correct=float(k)) for k in range(2)]
    b = [make_record("q0", model="b", sample=1, confidence=0.5)]
    assert compare(a, b, "brier").n == 1


def test_a_verdict_takes_thirty_questions_and_not_thirty_answers(make_record):
    def asked(model, confidence, questions):
        return [
            make_record(f"q{i}", model=model, sample=k, confidence=confidence, correct=float(i % 2))
            for i in range(questions)
            for k in range(2)
        ]

    few = compare(asked("rl", 0.5, 29), asked("base", 0.9, 29), "brier")
    assert (few.n, few.questions, few.verdict) == (58, 29, "undecided")
    assert "by fewer than 30 questions" in few.sentence()
    assert compare(asked("rl", 0.5, 30), asked("base", 0.9, 30), "brier").verdict == "better"


def test_better_means_lower_ece_and_higher_auroc(make_record):
    def verdict(metric, low, high, n=30):
        return Comparison(
            "verbal", metric, "rl", "base", n, 0.1, 0.2, Interval((low + high) / 2, low, high)
        ).verdict

    assert (verdict("ece", -0.2, -0.1), verdict("ece", 0.1, 0.2)) == ("better", "worse")
    assert (verdict("auroc", 0.1, 0.2), verdict("auroc", -0.2, -0.1)) == ("better", "worse")
    assert verdict("ece", -0.1, 0.0) == "undecided"  # an interval that touches 0 holds it
    assert (
        verdict("ece", -0.1, -0.0004) == "undecided"
        and verdict("auroc", 0.0004, 0.1) == "undecided"
    )  # 0.000
    assert verdict("ece", -0.1, -0.0006) == "better" and verdict("auroc", 0.0006, 0.1) == "better"
    assert verdict("ece", -0.2, -0.1, n=29) == "undecided"  # too few to trust the interval
    assert verdict("ece", math.nan, math.nan) == "undefined"


def test_a_clear_difference_is_told_in_words_with_its_numbers(make_record):
    found = compare(answers(make_record, "rl", 0.5), answers(make_record, "base", 0.9), "ece")
    assert found.verdict == "better"
    assert found.sentence().startswith(
        "RL (Algorithm 1) has a lower ECE than base: ECE 0.000 against 0.400"
    )
    assert "difference −0.400 [" in found.sentence() and found.sentence().endswith(
        "n\u00a0=\u00a040."
    )
    found = compare(
        answers(make_record, "rl", 0.5), answers(make_record, "base", 0.9), "ece_debiased"
    )
    # gaps 0 and 0.4, less 0.25 / 39 each: the first square is below 0
    assert found.sentence().startswith(
        "RL (Algorithm 1) is better calibrated than base: debiased ECE 0.000 against 0.392"
    )


def test_the_same_model_through_two_engines_is_not_told_apart_by_its_floats(make_record):
    a, b = answers(make_record, "server", 0.8), answers(make_record, "offline", 0.8 + 1e-6)
    found = compare(a, b, "ece")
    assert found.verdict == "undecided" and "difference 0.000 [0.000, 0.000]" in found.sentence()


def test_the_same_answers_are_undecided_and_one_class_is_undefined(make_record):
    a, b = answers(make_record, "a", 0.8), answers(make_record, "b", 0.8)
    assert compare(a, b, "ece").verdict == "undecided"
    right = [replace(record, correct=1.0) for record in a]
    found = compare(right, b, "auroc")
    assert found.verdict == "undefined" and "AUROC is undefined for one of them" in found.sentence()


def test_every_pair_is_compared_once_the_papers_way_round_and_checkpoints_only_if_asked(
    make_record,
):
    records = [
        r
        for name in ("base", "sft", "rl", "rl@5", "rl_fixed")
        for r in answers(make_record, name, 0.6, n=4)
    ]
    pairs = [(c.a, c.b) for c in compare_all(by_model_and_protocol(records), ["ece"])]
    assert sorted(pairs) == [
        ("rl", "base"),
        (
            "rl",
            "rl_fixed",
        ),  # the paper asks what dynamic coefficients do, so the model with them is A
        ("rl", "sft"),
        ("rl_fixed", "base"),
        ("rl_fixed", "sft"),
        ("sft", "base"),
    ]
    assert len(compare_all(by_model_and_protocol(records), ["ece"], with_checkpoints=True)) == 10


def test_key_pairs_are_the_papers_questions_or_all_pairs_of_other_models(make_record):
    of_ours = [r for name in ("base", "sft", "rl") for r in answers(make_record, name, 0.6, n=4)]
    of_others = [r for name in ("x", "y") for r in answers(make_record, name, 0.6, n=4)]
    found = key_comparisons(compare_all(by_model_and_protocol(of_ours), ["ece"]))
    assert [(c.a, c.b) for c in found] == [("sft", "base"), ("rl", "base"), ("rl", "sft")]
    assert [
        (c.a, c.b) for c in key_comparisons(compare_all(by_model_and_protocol(of_others), ["ece"]))
    ] == [("y", "x")]


def test_the_table_says_verdict_n_and_what_is_adjusted(make_record):
    records = answers(make_record, "rl", 0.5), answers(make_record, "base", 0.9)
    table = comparison_table([compare(*records, "ece")])
    (row,) = table.rows
    assert row[:4] == ("Verbal", "ECE", "RL (Algorithm 1)", "base")
    assert row[7:] == ("A is better", None, 40)
    assert row[6].value == pytest.approx(-0.4) and row[6].low < row[6].high < 0
    assert any("P-values are not adjusted" in note for note in table.notes)
    third = answers(make_record, "sft", 0.7)
    table = comparison_table(
        compare_all(by_model_and_protocol([*records[0], *records[1], *third]), ["brier"])
    )
    assert any("Brier score 3." in note for note in table.notes)


def test_holm_multiplies_the_smallest_by_all_and_keeps_the_order():
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 (raised to the one before: 0.06), 0.9 * 1
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([]) == []


def test_among_many_pairs_a_difference_must_be_clearer(make_record):
    def of(b, p):
        return Comparison(
            "verbal", "brier", "rl", b, 40, 0.1, 0.2, Interval(-0.1, -0.2, -0.01), p_value=p
        )

    alone, *_ = adjusted([of("base", 0.03)])
    assert (alone.p_adjusted, alone.family, alone.verdict) == (0.03, 1, "better")
    many = adjusted([of("base", 0.03), of("sft", 0.04), of("x", 1e-6), of("y", math.nan)])
    # 0.03 * 2 of the two that are left after 1e-6 * 3; what is undefined is in no family
    assert many[0].p_adjusted == pytest.approx(0.06) and many[0].family == 3
    assert [one.verdict for one in many[:3]] == ["undecided", "undecided", "better"]
    assert "once adjusted for 3 comparisons (Holm)" in many[0].sentence()
    # each metric is a family of its own
    other = replace(of("base", 0.03), metric="auroc", difference=Interval(0.1, 0.01, 0.2))
    assert [one.family for one in adjusted([of("base", 0.03), other])] == [1, 1]


def headline(records):
    groups = by_model_and_protocol(records)
    models = {
        model: {protocol: {POOLED: summarise(part)} for protocol, part in protocols.items()}
        for model, protocols in groups.items()
    }
    return summaries(models, compare_all(groups, ["brier"]))[0].headline


def test_headline_names_the_best_model_and_what_it_is_not_told_apart_from(make_record):
    """40 answers, half right, all at one confidence c:
    with d = c - 0.5 a Brier score of 0.25 + d^2, and a squared debiased ECE of d^2 - 0.25/39."""
    base, sft = answers(make_record, "base", 0.95), answers(make_record, "sft", 0.9)
    rl = answers(make_record, "rl", 0.65)
    same = [replace(record, model="rl_proper") for record in rl]
    # 0.25 + 0.15^2 = 0.2725; sqrt(0.0225 - 0.00641) = 0.127
    assert headline(base + rl) == (
        "Verbal: RL (Algorithm 1) has a Brier score of 0.273 and a debiased ECE of 0.127: "
        "its confidences are more accurate than those of every other model."
    )
    assert headline(base + sft + rl + same) == (
        "Verbal: it is not decided whose confidences are the most accurate: "
        "RL (Algorithm 1) has a Brier score of 0.273 and a debiased ECE of 0.127; "
        "RL (proper rule) has a Brier score of 0.273 and a debiased ECE of 0.127. "
        "base and SFT are behind."
    )
    assert headline(rl + same).startswith("Verbal: it is not decided")
    # 0.25 + 0.45^2; sqrt(0.2025 - 0.00641)
    assert headline(base) == "Verbal: base has a Brier score of 0.453 and a debiased ECE of 0.443."
    assert (
        headline([make_record(confidence=None)])
        == "Verbal: no model states a confidence that can be read on 95% of its answers."
    )


def test_bluntness_wins_no_headline(make_record):
    """A model that states the mean for all is as calibrated as one that knows each answer's chance,
    and not first.
    """
    rng = np.random.default_rng(12)
    c = rng.random(400)
    y = (rng.random(400) < c).astype(float)
    sharp = [
        make_record(f"q{i}", model="base", confidence=float(c[i]), correct=y[i]) for i in range(400)
    ]
    blunt = [replace(record, model="sft", confidence=float(y.mean())) for record in sharp]
    assert summarise(blunt).value("ece") < summarise(sharp).value("ece")
    assert headline(blunt + sharp).startswith("Verbal: base has a Brier score of")


def test_a_headline_says_whom_it_left_out(make_record):
    base, rl = answers(make_record, "base", 0.95), answers(make_record, "rl", 0.65)
    hidden = with_failures(rl, 0, 1, 2, 3)  # 90 % readable, 95 % needed
    assert headline(base + hidden) == (
        "Verbal: base has a Brier score of 0.453 and a debiased ECE of 0.443. Not compared, with "
        "confidences readable on less than 95%: RL (Algorithm 1)."
    )


def test_a_headline_names_no_model_that_the_tables_leave_empty(make_record):
    base, rl = answers(make_record, "base", 0.95), answers(make_record, "rl", 0.5, n=9)
    few = "Not compared, with fewer than 10 answers that can be read: RL (Algorithm 1)."
    assert headline(base + rl) == (
        f"Verbal: base has a Brier score of 0.453 and a debiased ECE of 0.443. {few}"
    )
    assert headline(rl) == f"Verbal: no model has enough answers. {few}"


def test_checkpoints_alone_are_not_called_unreadable(make_record):
    alone = answers(make_record, "rl@8", 0.65)
    assert headline(alone).startswith("Verbal: there are checkpoints of a training only")


def with_failures(records, *numbers):
    return [
        replace(record, confidence=None) if i in numbers else record
        for i, record in enumerate(records)
    ]


def test_nobody_wins_by_not_being_readable(make_record):
    # 100 answers, half right. base says 0.9 for all: ECE 0.4. rl is readable on five,
    # where it says what is so.
    base = answers(make_record, "base", 0.9, n=1000)
    rl = with_failures(
        [replace(r, confidence=r.correct) for r in answers(make_record, "rl", 0.5, n=1000)],
        *range(50, 1000),
    )
    found = compare(rl, base, "ece")
    assert (found.n, found.value_a, found.readable_a, found.readable_b) == (50, 0.0, 0.05, 1.0)
    assert found.verdict == "undecided"
    assert "only 5% of the confidences of RL (Algorithm 1) can be read" in found.sentence()
    # Turned round it is no defeat of base either.
    assert compare(base, rl, "ece").verdict == "undecided"
    models = {
        model: {"verbal": {POOLED: summarise(records)}}
        for model, records in (("base", base), ("rl", rl))
    }
    (summary,) = summaries(models, [found])
    # 0.25 + 0.4^2; sqrt(0.16 - 0.25 / 999)
    assert "base has a Brier score of 0.410 and a debiased ECE of 0.400" in summary.headline


def test_a_win_must_hold_with_what_cannot_be_read_at_its_worst(make_record):
    # 96 % readable. Brier: a says 0.5 everywhere, 0.25; b is 0.3 on each answer off, 0.30^2 = 0.09
    # and wins on what both can read. At worst b's 4 % cost 1 each: 0.96 * 0.09 + 0.04 = 0.126,
    # still a win; with an a of 0.1225 (0.35 off) it is none.
    def off(model, by, n=200):
        records = answers(make_record, model, 0.5, n=n)
        return [replace(r, confidence=abs(r.correct - by)) for r in records]

    b = with_failures(off("rl", 0.3), *range(8))
    assert compare(b, off("base", 0.5), "brier").verdict == "better"
    close = compare(b, off("base", 0.35), "brier")
    assert close.difference.high < 0 and close.worst.value == pytest.approx(0.1264 - 0.1225)
    assert close.verdict == "undecided" and "cannot be read" in close.sentence()


def test_a_blunt_model_is_not_better_calibrated_than_a_spread_one(make_record):
    """Both are perfectly calibrated; the constant one's ECE is lower by bias alone,
    and its Brier score is worse.

    By the ECE interval alone "better" came out in 34 to 58 % of such runs. 2.5 % is nominal; of 60
    runs at most 5 (binomial, p = 0.025: more than that in 1 of 260), for either of the two.
    """
    rng = np.random.default_rng(11)
    by_ece, plain, debiased = 0, [], []
    for _ in range(60):
        c = rng.random(300)
        y = (rng.random(300) < c).astype(float)
        spread = [
            make_record(f"q{i}", model="base", confidence=float(c[i]), correct=y[i])
            for i in range(300)
        ]
        blunt = [replace(record, model="sft", confidence=0.5) for record in spread]
        sides = columns(blunt), columns(spread)
        both = compare_columns(*sides, ["ece", "ece_debiased", "brier"])
        plain.append(both[0])
        debiased.append(both[1])
        by_ece += both[0].difference.high < 0
        assert both[2].verdict == "worse"
    assert by_ece >= 15
    for verdict in ("better", "worse"):
        assert sum(one.verdict == verdict for one in plain) <= 5
        assert sum(one.verdict == verdict for one in debiased) <= 5
    assert sum("no more than their bias" in one.sentence() for one in plain) >= 10


def test_several_metrics_at_once_are_those_of_each_alone(make_record):
    a, b = answers(make_record, "rl", 0.55), with_failures(answers(make_record, "base", 0.9), 3, 4)
    together = compare_columns(columns(a), columns(b), COMPARED)
    assert together == [compare(a, b, metric) for metric in COMPARED]
    # the order of the lines does not matter
    turned = compare_columns(columns(a), columns(b[::-1]), COMPARED)
    assert [one.value_b for one in turned] == [one.value_b for one in together]
    assert all(one.n == 38 for one in turned)
