"""What every command refuses in one line: a place that cannot be written, an empty record file,
a wrong parquet.
"""

import pytest

from eval.__main__ import _parser, main
from eval.records import write_records
from eval.report import publish

TABLES = ("selective", "blind", "compare")
DIRECTORIES = ("report", "figure reliability")


def command(name, records, out, *options):
    """A command line over a directory of records, for `out`."""
    told = {
        "blind": ["--plain", records, "--corrupted", records],
        "fit-calibrator": ["--records", records, "--model", "base", "--protocol", "verbal"],
        "calibration": ["--model", "base=nowhere", "--questions", "nowhere.parquet"],
    }
    arguments = [*name.split(), *told.get(name, ["--records", records]), "--out", out, *options]
    return list(map(str, arguments))


@pytest.fixture
def directory(make_record, tmp_path):
    for model in ("base", "sft"):
        answers = [make_record(f"q{i}", model=model) for i in range(4)]
        write_records(tmp_path / "records" / f"{model}.verbal.jsonl", answers)
    return tmp_path / "records"


@pytest.mark.parametrize("name", [*TABLES, *DIRECTORIES, "fit-calibrator", "calibration"])
@pytest.mark.parametrize("below", ["", "deep/down"])
def test_an_out_at_or_below_a_file_is_one_line(directory, tmp_path, capsys, name, below):
    """A table may replace a file, and so may a calibrator:
    at one they are refused if it is a directory.
    """
    writes_a_file = name in (*TABLES, "fit-calibrator")
    taken = tmp_path / "taken.csv"
    taken.mkdir() if writes_a_file and not below else taken.write_text("kept")
    out = taken / below / "x.csv" if writes_a_file and below else taken / below
    assert main(command(name, directory, out)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --out {out}") and ": name a " in line
    assert str(taken) in line
    assert taken.is_dir() or taken.read_text() == "kept"


@pytest.mark.parametrize("name", [*TABLES, *DIRECTORIES, "fit-calibrator"])
def test_an_empty_record_file_is_one_line(directory, tmp_path, capsys, name):
    empty = directory / "base.verbal.jsonl"
    empty.write_text("")
    assert main(command(name, directory, tmp_path / "out.csv")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {empty} is empty: make it anew with")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_a_wrong_question_file_is_refused_before_any_metric(
    directory, tmp_path, capsys, monkeypatch, content
):
    wrong = tmp_path / "wrong.parquet"
    if content is not None:
        wrong.write_bytes(content)
    monkeypatch.setattr(publish, "summarise_all", lambda records: pytest.fail("metrics first"))
    assert main(command("report", directory, tmp_path / "out", "--questions", wrong)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and str(wrong) in line


@pytest.mark.parametrize("option", ["--protocols", "--protocol"])
@pytest.mark.parametrize("name", [*TABLES, "figure reliability", "calibration"])
def test_protocols_are_chosen_by_one_name(name, option):
    arguments = _parser().parse_args(command(name, "records", "out", option, "verbal", "sc"))
    assert arguments.protocols == ["verbal", "sc"]
