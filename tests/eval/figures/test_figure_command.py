"""`python -m eval figure`: the commands that the README gives are run, on small records."""

import re
import shlex
from pathlib import Path

import pytest

from eval.__main__ import _parser, main
from eval.figures import reliability_by
from eval.records import write_records

README = Path(__file__).parents[3] / "eval" / "README.md"
SECTION = README.read_text().partition("## The paper's figures")[2].partition("\n## ")[0]
# A command may go on on the next line, as in a shell.
SECTION = SECTION.replace("\\\n", " ")


def documented(command):
    lines = re.findall(rf"^    python -m eval ({command} .*)$", SECTION, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.fixture
def records(make_record, tmp_path):
    """Two protocols, two datasets, three subsets; rl with fixed and dynamic coefficients,
    two checkpoints.
    """
    confidence = {"base": 0.9, "rl": 0.6, "rl_fixed": 0.8, "rl@8": 0.8, "rl@16": 0.7}
    directory = tmp_path / "records"
    for model, stated in confidence.items():
        for protocol in ("verbal", "sc"):
            answers = [
                make_record(
                    f"q{i}",
                    model=model,
                    protocol=protocol,
                    dataset="VQAv2" if i % 2 else "a/b",
                    subset=("entailment", "contradiction", "neutral")[i % 3],
                    confidence=stated,
                    correct=float(i % 4 < 2),
                )
                for i in range(12)
            ]
            write_records(directory / f"{model}.{protocol}.jsonl", answers)
    return directory


def here(arguments, records, out):
    """A documented command line with this test's directories."""
    places = {"records/": str(records), "figures/": str(out)}
    return [places.get(argument, argument) for argument in arguments]


MADE = {
    "reliability": {
        f"reliability_{protocol}_{dataset}_{subset}"
        for protocol in ("verbal", "sc")
        for dataset in ("VQAv2", "a_b")
        for subset in ("entailment", "contradiction", "neutral")
    },
    "fixed-dynamic": {"fixed_dynamic"},
    "checkpoints": {"checkpoints"},
}


def test_each_figure_is_documented():
    assert [arguments[1] for arguments in documented("figure")] == list(MADE)


@pytest.mark.parametrize("arguments", documented("figure"), ids=lambda arguments: arguments[1])
def test_a_documented_command_draws_its_files(records, tmp_path, arguments):
    out = tmp_path / "figures"
    assert main(here(arguments, records, out)) == 0
    made = MADE[arguments[1]]
    assert {path.name for path in out.iterdir()} == {
        f"{stem}.{end}" for stem in made for end in ("png", "svg")
    }
    assert all(path.stat().st_size > 5000 for path in out.iterdir())


@pytest.mark.parametrize("arguments", documented("calibration"), ids=lambda a: a[-1][:6])
def test_the_commands_that_make_their_records_are_understood(arguments):
    assert _parser().parse_args(arguments).command == "calibration"


def test_a_slice_holds_its_own_answers_and_is_named_in_the_figure(records, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        reliability_by,
        "draw_reliability",
        lambda path, answers, cells, protocol, questions: drawn.update({path.stem: locals()}),
    )
    arguments = ["--records", str(records), "--out", str(tmp_path), "--by", "dataset", "subset"]
    assert main(["figure", "reliability", *arguments]) == 0
    one = drawn["reliability_verbal_a_b_neutral"]
    assert (one["protocol"], one["questions"]) == ("verbal", "a/b / neutral")
    # Even numbers with i % 3 == 2: q2 and q8; q8 is right (8 % 4 = 0), q2 is not. ECE |1/2 - 0.9|.
    assert [r.question_id for r in one["answers"]["base"]] == ["q2", "q8"]
    assert one["cells"]["base"]["pooled"].value("ece") == pytest.approx(0.4)


def test_without_by_there_is_one_figure_of_all_questions(records, tmp_path):
    out = tmp_path / "figures"
    assert main(["figure", "reliability", "--records", str(records), "--out", str(out)]) == 0
    assert (out / "reliability_verbal.png").is_file() and len(list(out.iterdir())) == 2


def test_the_numbers_of_figure_5_are_printed(records, tmp_path, capsys):
    arguments = ["--records", str(records), "--out", str(tmp_path), "--protocol", "verbal"]
    assert main(["figure", "fixed-dynamic", *arguments]) == 0
    # Half are right: ECE 0.3 fixed, 0.1 dynamic.
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "| QA" in line]
    assert "0.300 [" in row and "0.100 [" in row


@pytest.mark.parametrize(
    ("figure", "kept", "told"),
    [
        ("fixed-dynamic", ["base", "rl"], "holds no pair of models NAME and NAME_fixed"),
        ("checkpoints", ["base", "rl@8"], "holds no run with two checkpoints NAME@STEP"),
    ],
)
def test_records_without_what_is_shown_end_with_one_line(
    records, tmp_path, capsys, figure, kept, told
):
    for path in records.iterdir():
        if path.name.split(".")[0] not in kept:
            path.unlink()
    assert main(["figure", figure, "--records", str(records), "--out", str(tmp_path / "o")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and told in error and "python -m eval calibration" in error


def test_slices_that_no_record_is_in_end_with_one_line(make_record, tmp_path, capsys):
    write_records(tmp_path / "base.verbal.jsonl", [make_record()])
    arguments = ["--records", str(tmp_path), "--out", str(tmp_path / "o"), "--by", "subset"]
    assert main(["figure", "reliability", *arguments]) == 1
    assert "error: no record has a subset: leave it out of --by" in capsys.readouterr().err


def test_two_slices_of_one_file_name_are_refused(make_record, tmp_path, capsys):
    records = [make_record("q0", dataset="a/b"), make_record("q1", dataset="a_b")]
    write_records(tmp_path / "base.verbal.jsonl", records)
    arguments = ["--records", str(tmp_path), "--out", str(tmp_path / "o"), "--by", "dataset"]
    assert main(["figure", "reliability", *arguments]) == 1
    assert "a/b and a_b would both be reliability_verbal_a_b.png" in capsys.readouterr().err
