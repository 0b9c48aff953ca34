"""What the first screen and the collapsed parts are made from, by hand."""

import math

import numpy as np
import pytest

from eval.comparison import Comparison
from eval.figures.checkpoints import Course
from eval.figures.reliability import bar_widths
from eval.numbers.values import Interval, Measured, SliceValues
from eval.report.html.first_screen import main_table, shown_models, verdict_sentence
from eval.report.html.parts import has_the_papers_values, without_empty_paper_columns
from eval.report.html.payload import course_payload
from eval.report.summary import ProtocolSummary
from eval.tables.table import Column, Table


def cell(brier=0.2, failures=0, n=100, **metrics):
    shown = {"brier": Measured(brier), **dict.fromkeys(("ece", "auroc"), Measured(0.1, 0.05, 0.15))}
    pooled = SliceValues(n=n, parse_failures=failures, accuracy=0.5, metrics=shown | metrics)
    return {"verbal": {"pooled": pooled}}


def test_the_best_trained_model_is_that_of_the_lowest_brier_score_that_can_be_read():
    models = {"base": cell(0.1), "sft": cell(0.25), "rl": cell(0.2), "rl@8": cell(0.15)}
    assert shown_models(models, "verbal") == ("base", "rl")
    models["rl_proper"] = cell(0.05, failures=10)  # 90 % readable, 95 % needed
    assert shown_models(models, "verbal") == ("base", "rl")
    models["rl_segments"] = cell(0.18, failures=5)
    assert shown_models(models, "verbal") == ("base", "rl_segments")


def test_a_model_of_few_answers_has_no_diagram_beside_the_base():
    """0.01 of nine answers is a number that no table shows."""
    models = {"base": cell(0.1), "sft": cell(0.01, n=9), "rl": cell(0.2)}
    assert main_table(models, ["verbal"]).rows[1][2:4] == (None, None)
    assert shown_models(models, "verbal") == ("base", "rl")


def test_without_a_base_the_first_model_takes_its_place():
    assert shown_models({"a": cell(0.1), "b": cell(0.3)}, "verbal") == ("a", "b")
    assert shown_models({"only": cell()}, "verbal") == ("only",)
    undefined = cell(float("nan"), failures=100)
    assert shown_models({"base": cell(), "sft": undefined}, "verbal") == ("base",)


def test_a_debiased_ece_takes_the_place_of_the_plain_one():
    debiased = cell(ece_debiased=Measured(0.03, 0.01, 0.06))
    (row,) = main_table({"base": debiased}, ["verbal"]).rows
    columns = [column.heading for column in main_table({"base": debiased}, ["verbal"]).columns]
    assert columns[:2] == ["model", "ECE, debiased ↓"] and row[1] == Interval(0.03, 0.01, 0.06)
    plain = main_table({"base": cell()}, ["verbal"])
    assert plain.columns[1].heading == "ECE ↓" and plain.rows[0][1].value == 0.1


def test_readable_is_the_share_of_all_answers():
    (row,) = main_table({"base": cell(failures=7)}, ["verbal"]).rows
    assert row[-2:] == (pytest.approx(0.93), 100)


def comparison(a, b, difference, ends, metric="ece", questions=1234):
    return Comparison(
        "verbal", metric, a, b, 1234, 0.1, 0.1, Interval(difference, *ends), questions=questions
    )


def test_the_sentence_has_the_difference_from_the_base_whichever_way_it_was_taken():
    main = ProtocolSummary("verbal", "Verbal: SFT has the lowest ECE, 0.100; it is fine.", ())
    expected = (
        "By Verbal, SFT has the lowest ECE, 0.100; it is fine "
        "(SFT against base: ECE −0.200 [−0.300, −0.100], 1,234 paired answers)."
    )
    others = [comparison("rl", "base", 0.5, [0.4, 0.6]), comparison("sft", "rl", 0.5, [0.4, 0.6])]
    for found in (
        comparison("sft", "base", -0.2, [-0.3, -0.1]),
        comparison("base", "sft", 0.2, [0.1, 0.3]),
    ):
        assert verdict_sentence(main, [*others, found], "sft") == expected
    both = [
        comparison("sft", "base", -0.2, [-0.3, -0.1]),
        comparison("sft", "base", -0.25, [-0.35, -0.15], "ece_debiased"),
    ]
    assert "debiased ECE −0.250 [−0.350, −0.150]" in verdict_sentence(main, both, "sft")
    # Fewer than 30 questions, or Holm: an interval without 0 is no verdict.
    open_one = comparison("sft", "base", -0.2, [-0.3, -0.1], questions=29)
    told = verdict_sentence(main, [open_one], "sft")
    assert "(SFT against base, undecided: ECE −0.200 [−0.300, −0.100], 1,234 paired" in told
    without = "By Verbal, SFT has the lowest ECE, 0.100; it is fine."
    assert verdict_sentence(main, others, "sft") == without
    undefined = [comparison("sft", "base", math.nan, [math.nan, math.nan])]
    assert verdict_sentence(main, undefined, "sft") == without


def test_a_column_of_the_paper_without_a_value_is_left_out():
    columns = (Column("model"), Column("ECE"), Column("paper ECE"), Column("paper AUC"))
    table = Table("t", "T", columns, (("base", 0.1, None, 0.6), ("SFT", 0.2, None, None)))
    shown = without_empty_paper_columns(table)
    assert [column.name for column in shown.columns] == ["model", "ECE", "paper AUC"]
    assert shown.rows == (("base", 0.1, 0.6), ("SFT", 0.2, None))
    assert has_the_papers_values(table)
    ours = Table("t", "T", columns, (("base", 0.1, None, None),))
    assert not has_the_papers_values(ours)
    assert without_empty_paper_columns(ours).rows == (("base", 0.1),)


def test_a_subset_has_one_colour_in_every_panel():
    value = [Interval(0.1, 0.0, 0.2)]
    panels = {
        "all questions": {"all": value, "neutral": value, "entailment": value},
        "a": {"all": value, "entailment": value},
        "b": {"all": value, "neutral": value},  # the second line here, the third above
    }
    charts = course_payload([Course("rl", "verbal", ("8",), panels)])
    colours = [{line["label"]: line["colour"] for line in chart["lines"]} for chart in charts]
    assert colours[0] == {"all": 0, "neutral": 3, "entailment": 1}
    assert colours[1] == {"all": 0, "entailment": 1} and colours[2] == {"all": 0, "neutral": 3}


@pytest.mark.parametrize("means", [[0.7], [0.0, 0.1, 0.5, 1.0], [0.09, 0.11, 0.195, 0.2, 0.9]])
def test_bars_at_the_mean_confidence_do_not_overlap(means):
    widths = bar_widths(np.array(means))
    assert (widths > 0).all() and widths.max() <= 0.08
    ends = np.array(means) + widths / 2
    assert (ends[:-1] < np.array(means)[1:] - widths[1:] / 2).all()
