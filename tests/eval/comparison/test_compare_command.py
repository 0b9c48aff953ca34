"""`python -m eval compare` as a user runs it."""

import json

import pytest

from eval.__main__ import main
from eval.records import write_records
from eval.report.seeds import Run, seed_table


def test_models_of_one_directory(records_directory, tmp_path, capsys):
    out = tmp_path / "pairs.csv"
    arguments = [
        "--models",
        "base",
        "rl",
        "--protocols",
        "verbal",
        "--metrics",
        "ece_debiased",
        "--out",
        str(out),
    ]
    assert main(["compare", "--records", str(records_directory), *arguments]) == 0
    assert capsys.readouterr().out.startswith(
        "RL (Algorithm 1) is better calibrated than base: debiased ECE "
    )
    lines = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    assert lines[0].startswith(
        "protocol,metric,model A,model B,A,B,A − B,A − B low,A − B high,verdict,p (Holm),n"
    )
    assert len(lines) == 2 and lines[1].endswith(",59")  # of 60, one cannot be read
    assert ",A is better," in lines[1]


def test_models_of_one_name_in_two_directories_are_told_apart_by_the_directory(
    make_record, tmp_path, capsys
):
    for run, confidence in (("seed0", 0.9), ("seed1", 0.5)):
        answers = [
            make_record(f"q{i}", model="rl", confidence=confidence, correct=float(i % 2))
            for i in range(40)
        ]
        write_records(tmp_path / run / "records" / "rl.verbal.jsonl", answers)
    directories = [str(tmp_path / run / "records") for run in ("seed0", "seed1")]
    assert main(["compare", "--records", *directories, "--metrics", "ece", "ece_debiased"]) == 0
    text = capsys.readouterr().out
    assert "seed1:rl has a lower ECE than seed0:rl: ECE 0.000 against 0.400" in text
    # 0.4^2 less 0.25 / 39, the variance of the gap of 40 answers, half of them right
    assert "seed1:rl is better calibrated than seed0:rl: debiased ECE 0.000 against 0.392" in text


def test_seeds_give_mean_and_range(published, tmp_path):
    report = json.loads((published / "report.json").read_text())
    first = report["models"]["base"]["verbal"]["pooled"]["ece"]
    report["models"]["base"]["verbal"]["pooled"]["ece"] = first + 0.1
    other, out = tmp_path / "other.json", tmp_path / "seeds.md"
    other.write_text(json.dumps(report | {"seed": 4}))
    assert (
        main(
            ["compare", "--reports", str(published / "report.json"), str(other), "--out", str(out)]
        )
        == 0
    )
    assert "seeds 3, 4" in out.read_text()
    assert f"{first + 0.05:.3f} [{first:.3f}, {first + 0.1:.3f}]" in out.read_text()


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ([None], "Over 1 run (seed unknown), "),
        ([None, None, None], "Over 3 runs (seeds unknown), "),
        ([3, None], "Over 2 runs (seeds 3, unknown), "),
    ],
)
def test_runs_of_unknown_seeds_are_told_so(seeds, told):
    assert seed_table([Run(seed, {}, {}) for seed in seeds]).title.startswith(told)


def test_reports_with_other_estimators_are_not_averaged(published, tmp_path, capsys):
    report = json.loads((published / "report.json").read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(report | {"estimator": {"ece": "15 bins"}}))
    assert main(["compare", "--reports", str(published / "report.json"), str(other)]) == 1
    assert "other estimators" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "base", "nobody"], "no model nobody in the records; there are base, sft, rl"),
        (["--models", "base"], "a comparison needs two models, and there is only base"),
        (["--protocols", "sc"], "no protocol sc in the records; there are dp, verbal"),
        (["--out", "x.docx"], "must end in .md, .csv or .tex"),
    ],
)
def test_wrong_choices_are_one_line(records_directory, capsys, options, message):
    assert main(["compare", "--records", str(records_directory), *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_models_without_a_common_question_are_an_error(make_record, tmp_path, capsys):
    for name in ("a", "b"):
        write_records(tmp_path / f"{name}.verbal.jsonl", [make_record(f"only-{name}", model=name)])
    assert main(["compare", "--records", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "error: b and a cannot be compared by Verbal, for they have no question in common: "
        "ask both the same questions\n"
    )


def test_a_pair_that_cannot_be_compared_is_named_and_the_others_are_compared(
    make_record, tmp_path, capsys
):
    for model, confidence in (("a", 0.5), ("b", 0.9), ("mute", None)):
        answers = [
            make_record(f"q{i}", model=model, confidence=confidence, correct=float(i % 2))
            for i in range(40)
        ]
        write_records(tmp_path / f"{model}.verbal.jsonl", answers)
    metrics = ["--metrics", "ece_debiased", "brier"]
    assert main(["compare", "--records", str(tmp_path), *metrics]) == 0
    told = capsys.readouterr().out
    assert "b has less accurate confidences than a: Brier score 0.410 against 0.250" in told
    for other in ("a", "b"):
        why = (
            f"mute and {other} cannot be compared by Verbal, for no confidence of mute can be read"
        )
        assert told.count(why) == 1


@pytest.mark.parametrize(
    "content", ["{}", '{"models": {"rl": {"verbal": {}}}, "ece_ratios": {}}', '{"models": 1}']
)
def test_a_file_that_is_no_report_is_an_error(tmp_path, capsys, content):
    (tmp_path / "x.json").write_text(content)
    assert main(["compare", "--reports", str(tmp_path / "x.json")]) == 1
    assert "is no report: make it with `python -m eval report`" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "compare"])
def test_help_says_what_is_written_and_what_to_give(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stopped.value.code == 0 and "--records" in text
    assert {"report": "OUT/report.html", "compare": "paired bootstrap"}[command] in " ".join(
        text.split()
    )
