"""`python -m eval selective` as a user runs it."""

import csv
import math
import re

import pytest

from eval.__main__ import main
from eval.metrics import aurc
from eval.numbers.selective import selective
from eval.records import write_records


def cells(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


@pytest.fixture
def many(make_record, tmp_path):
    """200 questions: sure and right, or unsure and right every second time."""
    records = [
        make_record(
            f"q{i}", confidence=0.9 if i < 100 else 0.3, correct=1.0 if i < 100 else float(i % 2)
        )
        for i in range(200)
    ]
    write_records(tmp_path / "base.verbal.jsonl", records)
    return tmp_path


def test_the_table_of_a_model(many, tmp_path, capsys):
    out = tmp_path / "made" / "table.csv"
    assert main(["selective", "--records", str(many), "--out", str(out), "--accuracy", "0.9"]) == 0
    (row,) = cells(out)
    at = "accuracy at coverage: "
    # 100 right ones; of the 100 others a coverage of 80 % has 60, half of them right.
    assert float(row[f"{at}100 %"]) == pytest.approx(150 / 200)
    assert float(row[f"{at}90 %"]) == pytest.approx((100 + 40) / 180)
    assert float(row[f"{at}80 %"]) == pytest.approx((100 + 30) / 160)
    assert float(row[f"{at}50 %"]) == 1.0
    wanted = "for 0.9 accuracy: "
    assert float(row[f"{wanted}threshold"]) == 0.9 and float(row[f"{wanted}accuracy"]) == 1.0
    trusted = int(row[f"{wanted}trusted"])
    assert float(row[f"{wanted}coverage"]) == trusted / 100 and 35 <= trusted <= 65
    assert float(row[f"{wanted}accuracy low"]) == pytest.approx(0.025 ** (1 / trusted))
    assert (row["n"], row["parse failures"]) == ("200", "0")
    for suffix in (".png", ".svg"):
        assert out.with_suffix(suffix).stat().st_size > 5000
    assert not out.with_stem("table_vote").exists()
    assert "# Trusting the most confident answers" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".md", ".tex"])
def test_the_other_forms(records_directory, tmp_path, suffix):
    out = tmp_path / f"table{suffix}"
    arguments = ["--records", str(records_directory), "--protocol", "verbal", "--out", str(out)]
    assert main(["selective", *arguments]) == 0
    text = out.read_text()
    assert "RL (Algorithm 1)" in text and "Verbal" in text and "DP" not in text


def test_a_threshold_that_cannot_be_shown_is_none(records_directory, tmp_path):
    out = tmp_path / "table.csv"
    assert main(["selective", "--records", str(records_directory), "--out", str(out)]) == 0
    assert len(cells(out)) == 6  # three models, two protocols, of 60 questions
    for row in cells(out):
        assert row["for 0.9 accuracy: threshold"] == "none" and row["n"] == "60"
        assert row["for 0.9 accuracy: accuracy"] == "" and row["parse failures"] == "1"


def test_several_answers_a_question_are_voted_on_and_count_once_for_the_threshold(
    make_record, tmp_path
):
    # Each question: a sure right sample between two unsure wrong ones; the first sample is wrong.
    records = [
        make_record(
            f"q{i}",
            sample=sample,
            response=f"The digit is {7 if sample == 1 else 3}.",
            confidence=0.9 if sample == 1 else 0.2,
            correct=float(sample == 1),
        )
        for i in range(30)
        for sample in range(3)
    ]
    write_records(tmp_path / "base.verbal.jsonl", records)
    out = tmp_path / "table.csv"
    assert main(["selective", "--records", str(tmp_path), "--out", str(out)]) == 0
    (row,) = cells(out.with_stem("table_vote"))
    assert row["samples (k)"] == "3" and row["questions"] == "30"
    assert float(row["accuracy: one sample"]) == pytest.approx(1 / 3)
    assert (row["accuracy: majority"], row["accuracy: confidence-weighted"]) == ("0.0", "1.0")
    assert (row["weighted − majority"], row["weighted − majority low"]) == ("1.0", "1.0")
    found = selective(records, 0.9)
    assert found.n == 90 and found.threshold.n_chosen_on + found.threshold.n == 30
    assert math.isnan(found.threshold.value)  # none of the first samples is right
    assert found.aurc == pytest.approx(
        aurc([r.confidence for r in records], [r.correct for r in records])
    )


def test_halves_hold_the_same_questions_for_every_model(make_record):
    rows = [
        make_record(f"q{i}", confidence=i / 500, correct=float(i % 5 > 0 or i > 300))
        for i in range(500)
    ]
    forward, backward = selective(rows, 0.8), selective(rows[::-1], 0.8)
    assert forward.threshold == backward.threshold and forward.threshold.value > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--protocol", "sc"), "no records by the protocol sc in .*; there are dp, verbal"),
        (("--out", "table.html"), "--out table.html: the name must end in .md, .csv or .tex"),
    ],
)
def test_a_wrong_input_ends_with_one_line(records_directory, capsys, options, told):
    assert main(["selective", "--records", str(records_directory), *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {told}", line)


def test_an_accuracy_in_percent_is_refused(records_directory, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["selective", "--records", str(records_directory), "--accuracy", "90"])
    assert caught.value.code == 2 and "not a number between 0 and 1" in capsys.readouterr().err


def test_the_report_draws_the_curve_for_verbal(published):
    for suffix in ("png", "svg"):
        assert (published / f"risk_coverage.{suffix}").stat().st_size > 5000
