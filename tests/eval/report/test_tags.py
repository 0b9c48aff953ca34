"""Tags of datasets that would stand for something else: refused, or told apart,
never one in place of the other.
"""

import pytest

from eval.figures.checkpoints import checkpoint_courses
from eval.figures.reliability_by import draw_reliability_by
from eval.numbers.summarise import summarise, summarise_all
from eval.records.chosen import by_model_and_protocol
from eval.tables.paper_tables import paper_tables
from reward_fns.errors import UserError


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": "pooled"}, "a dataset has the tag 'pooled', by which a report means"),
        ({"dataset": "all questions"}, "a dataset has the tag 'all questions'"),
        ({"subset": "b/neutral"}, "a subset is called 'b/neutral', .* without the slash"),
    ],
)
def test_a_name_that_a_report_uses_itself_is_refused(make_record, changes, told):
    with pytest.raises(UserError, match=told):
        summarise_all([make_record(), make_record("q1", **changes)])


def test_tags_of_one_file_name_have_a_table_each(make_record):
    records = [
        make_record(f"{tag}{i}", dataset=tag, subset="neutral", confidence=confidence)
        for tag, confidence in (("a b", 0.9), ("a/b", 0.8), ("A_B", 0.7))
        for i in range(10)
    ]
    tables = paper_tables(summarise_all(records)[1])[:-1]
    # All are right: ECE 1 - confidence.
    values = {table.name: [v for v in table.rows[0] if isinstance(v, float)][0] for table in tables}
    assert values == {
        "calibration_A_B": pytest.approx(0.3),
        "calibration_a_b_2": pytest.approx(0.1),
        "calibration_a_b_3": pytest.approx(0.2),
    }


def test_question_c_of_a_b_is_not_question_b_c_of_a(make_record):
    answers = [make_record("b/c", dataset="a"), make_record("c", dataset="a/b")]
    cell = summarise(answers)
    # Resamples draw each dataset's one question: nothing is left to chance.
    assert cell.measured("brier")[1:3] == pytest.approx((0.09, 0.09))


def test_a_course_of_a_has_no_line_of_a_b(make_record):
    records = [
        make_record(f"{tag}{i}", model=f"rl@{step}", dataset=tag, subset="neutral")
        for step in (1, 2)
        for tag in ("a", "a/b")
        for i in range(3)
    ]
    (course,) = checkpoint_courses(*summarise_all(records))
    assert {name: list(lines) for name, lines in course.panels.items()} == dict.fromkeys(
        ("all questions", "a", "a/b"), ["all", "neutral"]
    )


def test_slices_of_one_file_name_are_refused_before_any_is_drawn(make_record, tmp_path):
    records = [make_record("q0", dataset="a/b"), make_record("q1", dataset="a_b")]
    with pytest.raises(UserError, match="a/b and a_b would both be"):
        draw_reliability_by(tmp_path, by_model_and_protocol(records), ["dataset"])
    assert not list(tmp_path.iterdir())
