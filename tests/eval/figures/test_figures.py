"""What the figures show, and that the same values give the same files."""

import pytest

from eval.benchmarks.operating_curve import Point
from eval.figures.checkpoints import checkpoint_courses, draw_checkpoints
from eval.figures.coefficients import draw_coefficients, paper_coefficients
from eval.figures.fixed_dynamic import (
    draw_fixed_and_dynamic,
    fixed_and_dynamic,
    fixed_dynamic_table,
)
from eval.figures.operating_curve import draw_operating_curves
from eval.numbers.summarise import summarise_all
from reward_fns.difficulty import Coefficients


def answers(make_record, model, confidence, **changes):
    """Half right, one confidence: the ECE is |1/2 - confidence|."""
    return [
        make_record(f"q{i}", model=model, confidence=confidence, correct=float(i % 2), **changes)
        for i in range(4)
    ]


def test_a_course_goes_from_base_and_sft_over_the_steps_to_the_end(make_record, tmp_path):
    by_model = {"rl@100": 0.7, "rl": 0.55, "rl@20": 0.8, "base": 0.9, "sft": 0.6}
    records = [
        r for model, confidence in by_model.items() for r in answers(make_record, model, confidence)
    ]
    records += answers(make_record, "other@5", 0.5)  # one step is no course
    records += answers(make_record, "rl@20", 0.5, dataset="b", subset="neutral")
    (course,) = checkpoint_courses(*summarise_all(records))
    assert course.family == "rl" and course.labels == ("base", "SFT", "20", "100", "end")
    assert list(course.panels) == ["all questions", "b", "pocket-digit"]
    values = [value.value for value in course.panels["pocket-digit"]["all"]]
    assert values == pytest.approx([0.4, 0.1, 0.3, 0.2, 0.05])
    neutral = course.panels["b"]["neutral"]
    assert [value is None for value in neutral] == [True, True, False, True, True] and neutral[
        2
    ].value == 0
    draw_checkpoints(tmp_path / "c.png", [course])
    assert (tmp_path / "c.png").stat().st_size > 5000 and (tmp_path / "c.svg").stat().st_size > 5000


def test_fixed_and_dynamic_are_paired_by_name_and_split_by_task(make_record, tmp_path):
    records = (
        answers(make_record, "rl", 0.6)
        + answers(make_record, "rl_fixed", 0.9)
        + answers(make_record, "sft", 0.9)
    )
    records += answers(make_record, "rl", 0.7, task="Detail", dataset="d")
    (pair,) = fixed_and_dynamic(*summarise_all(records))
    fixed, dynamic = pair.values["QA", "ece"]["verbal"]
    assert (fixed.value, dynamic.value) == (pytest.approx(0.4), pytest.approx(0.1))
    assert pair.values["Detail", "ece"]["verbal"][0] is None  # the fixed model has no such answers
    assert len(fixed_dynamic_table([pair]).rows) == 2 and fixed_dynamic_table([]) is None
    draw_fixed_and_dynamic(tmp_path / "f.png", [pair])
    assert (tmp_path / "f.png").stat().st_size > 5000


def test_the_heatmap_has_the_papers_table_beside_ours_and_is_reproducible(tmp_path):
    assert (
        paper_coefficients()["OCR-VQA"] == Coefficients(0.7524, 2.2029, 1.1555, 1.7553)
        and len(paper_coefficients()) == 14
    )
    for name in ("a", "b"):
        draw_coefficients(tmp_path / name / "same.png", {"own": Coefficients(1.0, 1.0, 1.0, 1.0)})
    for suffix in ("png", "svg"):
        assert (tmp_path / "a" / f"same.{suffix}").read_bytes() == (
            tmp_path / "b" / f"same.{suffix}"
        ).read_bytes()


def test_a_bar_of_the_reliability_diagram_stands_at_the_mean_confidence(make_record, monkeypatch):
    """Answers that all say 0.7 are at 0.7, on the diagonal if 7 of 10 are right;
    not at 0.75, beside it.
    """
    from eval.figures import reliability

    drawn = []
    monkeypatch.setattr(reliability, "save_figure", lambda figure, path: drawn.append(figure))
    records = [make_record(f"q{i}", confidence=0.7, correct=float(i < 7)) for i in range(10)]
    models, _ = summarise_all(records)
    cells = {"base": models["base"]["verbal"]}
    reliability.draw_reliability(None, {"base": records}, cells, "verbal")
    above, below = drawn[0].axes
    for axis in (above, below):
        bar = next(bar for bar in axis.patches if bar.get_height() > 0)
        assert bar.get_x() + bar.get_width() / 2 == pytest.approx(0.7)


@pytest.mark.parametrize("name", ["a$\\frac{$", "$x$", "a_b^c{d}"])
def test_a_dollar_in_a_name_begins_no_formula(make_record, tmp_path, name):
    """As a formula it is another name, or ends the report."""
    models = ("rl@20", "rl@100", "rl")
    records = [r for model in models for r in answers(make_record, model, 0.7, dataset=name)]
    draw_checkpoints(tmp_path / "c.png", checkpoint_courses(*summarise_all(records)))
    draw_operating_curves(
        tmp_path / "o.png", {name: [Point(None, 0.5, 0.5, 1.0), Point(0.5, 0.5, 0.1, 0.5)]}
    )
    assert (tmp_path / "c.svg").stat().st_size > 5000 and (tmp_path / "o.svg").exists()
