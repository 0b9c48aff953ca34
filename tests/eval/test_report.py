"""The report on records with known values."""

import json
import math

import pytest

from eval.__main__ import main
from eval.records import write_records
from eval.report import ece_ratios, ordered_models, summarise, summarise_all
from eval.tables import markdown_table


@pytest.fixture
def records(make_record):
    return [
        make_record("q0", dataset="a", confidence=0.9, correct=1.0),
        make_record("q1", dataset="a", confidence=0.9, correct=0.0),
        make_record("q2", dataset="b", confidence=0.0, correct=0.0, task="Detail"),
        make_record("q3", dataset="b", confidence=None, correct=0.5, task="Detail", well_formed=False, claims=[]),
    ]


def test_values_by_hand(records):
    cell = summarise(records)
    # three confidences: bin 9 holds two, |1/2 - 0.9| = 0.4; bin 0 holds one, 0; 2/3 * 0.4
    assert cell["ece"] == pytest.approx(0.8 / 3)
    # right 0.9 against wrong 0.9 (tie) and wrong 0.0 (won): 1.5 / 2
    assert cell["auroc"] == pytest.approx(0.75)
    assert cell["brier"] == pytest.approx((0.01 + 0.81 + 0) / 3)
    assert cell["accuracy"] == pytest.approx((1 + 0 + 0 + 0.5) / 4)  # the parse failure counts
    assert (cell["n"], cell["parse_failures"]) == (4, 1)
    assert cell["extreme_share"] == pytest.approx(1 / 3)
    assert cell["mean_confidence"] == pytest.approx(0.6)
    assert cell["well_formed"] == pytest.approx(3 / 4) and cell["mean_claims"] == pytest.approx(3 / 4)
    assert cell["ece_interval"][0] <= cell["ece"] <= cell["ece_interval"][1]


def test_only_parse_failures_give_nan_and_an_accuracy(make_record):
    cell = summarise([make_record(confidence=None)])
    assert math.isnan(cell["ece"]) and math.isnan(cell["auroc"]) and math.isnan(cell["extreme_share"])
    assert cell["accuracy"] == 1.0 and cell["parse_failures"] == 1


def test_datasets_and_pooled(records):
    cells = summarise_all(records)["base"]["verbal"]
    assert list(cells) == ["a", "b", "pooled"]
    assert cells["a"]["n"] == 2 and cells["a"]["ece"] == pytest.approx(0.4)
    assert cells["b"]["parse_failures"] == 1


def test_models_stand_in_the_order_of_training():
    assert ordered_models(["x", "rl", "base", "rl_proper", "sft"]) == ["base", "sft", "rl", "rl_proper", "x"]


def test_ratio_to_the_base():
    def cells(a, b, pooled):
        return {"verbal": {"a": {"ece": a}, "b": {"ece": b}, "pooled": {"ece": pooled}}}

    ratios = ece_ratios({"base": cells(0.4, 0.2, 0.25), "rl": cells(0.1, 0.2, 0.05)}, "verbal")
    assert ratios == {"rl": {"pooled": pytest.approx(0.2), "mean_over_datasets": pytest.approx(0.3 / 0.6)}}
    assert ece_ratios({"rl": cells(0.1, 0.2, 0.05)}, "verbal") == {}


def test_table_is_aligned():
    assert markdown_table(["model", "n"], [["a", "10"]]) == "| model |  n |\n|-------|---:|\n| a     | 10 |\n"


@pytest.fixture
def published(records, make_record, tmp_path):
    write_records(tmp_path / "records" / "base.verbal.jsonl", records)
    sft = [make_record(f"q{i}", model="sft", dataset="ab"[i // 2], confidence=1.0, correct=1.0) for i in range(4)]
    write_records(tmp_path / "records" / "sft.verbal.jsonl", sft)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "1.json").write_text('{"stage": "sft", "seconds": 12.5}')
    (tmp_path / "config.yaml").write_text("seed: 3\nrule: proper\n")
    options = ["--stages", str(tmp_path / "stages"), "--config", str(tmp_path / "config.yaml")]
    assert main(["report", "--records", str(tmp_path / "records"), "--out", str(tmp_path / "out"), *options]) == 0
    return tmp_path / "out"


def no_constants(name):
    raise AssertionError(f"{name} is not JSON")


def test_report_file(published, capsys):
    report = json.loads((published / "report.json").read_text(), parse_constant=no_constants)
    pooled = report["models"]["base"]["verbal"]["pooled"]
    assert pooled["ece"] == pytest.approx(0.8 / 3)
    assert {"ece", "auroc", "brier", "accuracy", "n", "parse_failures"} <= pooled.keys()
    assert list(report["models"]) == ["base", "sft"]
    assert report["models"]["sft"]["verbal"]["pooled"]["auroc"] is None  # one class
    assert (report["seed"], report["config"]["rule"], report["stage_seconds"]) == (3, "proper", {"sft": 12.5})
    assert report["versions"]["torch"] and report["paper"]["verbal_ece_ratios"]["rl"] == 0.578
    assert "last one closed" in report["estimator"]["ece"]


def test_report_tables_and_diagram(published):
    text = (published / "report.md").read_text()
    assert "| base" in text and "| SFT" in text and "0.267" in text and "0.578" in text and "left out of ECE" in text
    from PIL import Image

    with Image.open(published / "reliability.png") as image:
        assert image.format == "PNG" and image.width > 800


def test_seeds_are_compared(published, tmp_path, capsys):
    report = json.loads((published / "report.json").read_text())
    report["models"]["base"]["verbal"]["pooled"]["ece"] = 0.1
    other = tmp_path / "other.json"
    other.write_text(json.dumps(report | {"seed": 4}))
    out = tmp_path / "seeds.md"
    assert main(["compare-seeds", "--report", str(published / "report.json"), str(other), "--out", str(out)]) == 0
    assert "seeds 3, 4" in out.read_text()
    assert "0.183 [0.100, 0.267]" in out.read_text()  # (0.8 / 3 + 0.1) / 2


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (None, None, "no record files"),
        ("base.verbal.jsonl.partial", "", "is not whole"),
        ("base.verbal.jsonl", "{}\n", "line 1 is not an answer record"),
    ],
)
def test_bad_records_are_one_line(tmp_path, capsys, file, content, message):
    if file:
        (tmp_path / file).write_text(content)
    assert main(["report", "--records", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_same_answer_in_two_files_is_an_error(tmp_path, capsys, records):
    for name in ("a", "b"):
        write_records(tmp_path / f"{name}.verbal.jsonl", records)
    assert main(["report", "--records", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "base answers question q0 twice" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[1]", "a: [", "stage: sft"])
def test_bad_stage_file(tmp_path, capsys, records, content):
    write_records(tmp_path / "records" / "base.verbal.jsonl", records)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "1.json").write_text(content)
    arguments = ["--records", str(tmp_path / "records"), "--out", str(tmp_path / "out")]
    assert main(["report", *arguments, "--stages", str(tmp_path / "stages")]) == 1
    assert "1.json" in capsys.readouterr().err
