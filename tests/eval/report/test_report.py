"""The report on records with known values, and its files as the command writes them."""

import json
import math

import pytest

from eval.__main__ import main
from eval.metrics import METRICS
from eval.numbers.summarise import ece_ratios, summarise, summarise_all, summarise_claims
from eval.numbers.values import Measured, SliceValues
from eval.records import write_records
from eval.report.merged import merged_by_sc


@pytest.fixture
def records(make_record):
    return [
        make_record("q0", dataset="a", confidence=0.9, correct=1.0),
        make_record("q1", dataset="a", confidence=0.9, correct=0.0),
        make_record("q2", dataset="b", confidence=0.0, correct=0.0, task="Detail"),
        make_record(
            "q3",
            dataset="b",
            confidence=None,
            correct=0.5,
            task="Detail",
            well_formed=False,
            claims=[],
            claim_labels=[],
        ),
    ]


def test_values_by_hand(records):
    cell = summarise(records)
    # three confidences: bin 9 holds two, |1/2 - 0.9| = 0.4; bin 0 holds one, 0; 2/3 * 0.4
    assert cell.value("ece") == pytest.approx(0.8 / 3)
    # right 0.9 against wrong 0.9 (tie) and wrong 0.0 (won): 1.5 / 2
    assert cell.value("auroc") == pytest.approx(0.75)
    assert cell.value("brier") == pytest.approx((0.01 + 0.81 + 0) / 3)
    assert cell.accuracy == pytest.approx((1 + 0 + 0 + 0.5) / 4)  # the parse failure counts
    assert (cell.n, cell.parse_failures) == (4, 1)
    assert cell.extreme_share == pytest.approx(1 / 3)
    assert cell.mean_confidence == pytest.approx(0.6)
    assert cell.well_formed == pytest.approx(3 / 4) and cell.mean_claims == pytest.approx(3 / 4)
    ece = cell.measured("ece")
    assert ece.low <= ece.value <= ece.high


def test_only_parse_failures_give_nan_with_the_reason_and_an_accuracy(make_record):
    cell = summarise([make_record(confidence=None)])
    assert (
        math.isnan(cell.value("ece"))
        and math.isnan(cell.value("auroc"))
        and math.isnan(cell.extreme_share)
    )
    assert cell.accuracy == 1.0 and cell.parse_failures == 1
    assert "can be read" in cell.measured("ece").reason


def test_datasets_pooled_and_slices(records):
    models, sliced = summarise_all(records)
    cells = models["base"]["verbal"]
    assert list(cells) == ["a", "b", "pooled"]
    assert cells["a"].n == 2 and cells["a"].value("ece") == pytest.approx(0.4)
    assert cells["b"].parse_failures == 1
    assert METRICS.keys() <= cells["pooled"].metrics.keys()
    assert sliced["base"]["verbal"].keys() == {"task"}  # no subset, rarity or margin is known
    assert sliced["base"]["verbal"]["task"]["Detail"].n == 2


def test_claims_count_once_whatever_the_number_of_protocols(make_record):
    claims = [
        {"text": "a", "sure": True},
        {"text": "b", "sure": True},
        {"text": "c", "sure": False},
    ]
    records = [
        make_record(protocol=name, claims=claims, claim_labels=[1, 0, 0])
        for name in ("verbal", "dp")
    ]
    found = summarise_claims([*records, make_record(model="silent", claims=[], claim_labels=[])])
    assert list(found) == ["base"] and (found["base"].n_claims, found["base"].n_sure) == (
        3,
        2,
    )
    # tags sure, sure, not sure; labels 1, 0, 0: two agree; of the two sure ones one is true
    assert (
        found["base"].estimates["agreement"].value == pytest.approx(2 / 3)
        and found["base"].estimates["true_when_sure"].value == 0.5
    )


def test_ratio_to_the_base():
    def of(ece):
        return SliceValues(n=1, metrics={"ece": Measured(ece)})

    def cells(a, b, pooled):
        return {"verbal": {"a": of(a), "b": of(b), "pooled": of(pooled)}}

    def subsets(*values):
        parts = {f"a/{i}": of(value) for i, value in enumerate(values)}
        return {"verbal": {"dataset_subset": parts}}

    models = {"base": cells(0.4, 0.2, 0.25), "rl": cells(0.1, 0.2, 0.05)}
    sliced = {"base": subsets(0.5, 0.3, 0.2), "rl": subsets(0.1, 0.2, 0.1)}
    ratios = ece_ratios(models, sliced, "verbal")
    assert {name: found.as_json() for name, found in ratios.items()} == {
        "rl": {
            "pooled": pytest.approx(0.2),
            "mean_over_datasets": pytest.approx(0.3 / 0.6),
            "mean_over_dataset_subset": pytest.approx(0.4 / 1.0),  # what the paper averages
        }
    }
    without = ece_ratios(models, {}, "verbal")["rl"]
    assert without.pooled == pytest.approx(0.2)
    assert math.isnan(without.mean_over_dataset_subset)
    assert ece_ratios({"rl": cells(0.1, 0.2, 0.05)}, {}, "verbal") == {}


def no_constants(name):
    raise AssertionError(f"{name} is not JSON")


def test_report_json_is_strict_and_keeps_config_settings_and_estimators(published):
    report = json.loads((published / "report.json").read_text(), parse_constant=no_constants)
    assert {"ece", "auroc", "brier", "accuracy", "n", "parse_failures"} <= report["models"]["rl"][
        "dp"
    ]["pooled"].keys()
    assert list(report["models"]) == ["base", "sft", "rl"]
    assert (report["seed"], report["config"]["rule"], report["stage_seconds"]) == (
        3,
        "proper",
        {"sft": 12.5},
    )
    assert report["records"]["rl.dp.settings.json"]["model_sha256"] == "0123456789abcdef"
    assert report["versions"]["torch"] and report["paper"]["verbal_ece_ratios"]["rl"] == 0.578
    assert (
        "last one closed" in report["estimator"]["ece"]
        and "stratified" in report["estimator"]["intervals"]
    )
    assert (
        report["slices"]["rl"]["verbal"]["dataset_subset"]["TextVQA/neutral"]["n"] == 10
    )  # of 30; subsets take turns
    verdicts = {(c["a"], c["b"], c["metric"]): c for c in report["comparisons"]}
    for metric in ("ece", "ece_debiased"):
        found = verdicts["rl", "base", metric]
        assert found["verdict"] == "better"
        # three pairs by two protocols
        assert found["family"] == 6 and found["p_value"] <= found["p_holm"] <= 6 * found["p_value"]
    pooled = report["models"]["rl"]["verbal"]["pooled"]
    # 59 confidences, most of them in six bins of ten with a variance of 0.16 to 0.25:
    # about sqrt(2/pi) 0.47 sqrt(6/59)
    assert pooled["ece_floor"] == pytest.approx(0.12, abs=0.02)
    ratios = report["ece_ratios"]["verbal"]["rl"]
    assert ratios.keys() == {"pooled", "mean_over_datasets", "mean_over_dataset_subset"}


def test_report_md_has_verdicts_tables_and_how_to_read_them(published):
    text = (published / "report.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert "RL (Algorithm 1) is better calibrated than base" in text
    assert ["DP", "SFT", "0.629"] in [
        [*row[:2], row[-1]] for row in rows if len(row) > 2
    ]  # the paper's ratio
    assert (
        "Calibration on TextVQA by subset" in text
        and "left out of all metrics but accuracy" in text
    )


def test_every_table_stands_in_three_forms_with_its_estimator(published):
    stems = {path.stem for path in (published / "tables").iterdir()}
    assert {"overall", "claims", "all_metrics", "ece_ratios", "comparisons"} <= stems
    assert {"calibration_TextVQA", "paper_accuracy"} <= stems
    assert {"ece_by_dataset", "auroc_by_task", "brier_by_subset", "ece_by_vote_margin"} <= stems
    for stem in stems:
        text = {
            suffix: (published / "tables" / f"{stem}.{suffix}").read_text()
            for suffix in ("csv", "tex", "md")
        }
        if stem.startswith(("ece", "auroc", "brier", "calibration", "overall")):
            assert all("10 bins of equal width" in form for form in text.values()), stem
            assert all("cannot be read" in form for form in text.values()), stem


def test_figures_are_png_and_svg(published):
    from PIL import Image

    for name in ("reliability", "reliability_dp", "training", "coefficients"):
        with Image.open(published / f"{name}.png") as image:
            assert image.format == "PNG" and image.width > 800
        assert "<svg" in (published / f"{name}.svg").read_text()[:600]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (None, None, "no record files"),
        ("base.verbal.jsonl.partial", "", "is not whole"),
        ("base.verbal.jsonl", '{"protocol": 1}\n', "line 1 is not an answer record"),
    ],
)
def test_bad_records_are_one_line(tmp_path, capsys, file, content, message):
    if file:
        (tmp_path / file).write_text(content)
    assert main(["report", "--records", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize("content", ["[1]", "a: [", "stage: sft"])
def test_bad_stage_file(tmp_path, capsys, records, content):
    write_records(tmp_path / "records" / "base.verbal.jsonl", records)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "1.json").write_text(content)
    arguments = ["--records", str(tmp_path / "records"), "--out", str(tmp_path / "out")]
    assert main(["report", *arguments, "--stages", str(tmp_path / "stages")]) == 1
    assert "1.json" in capsys.readouterr().err


def test_wrong_coefficients_file_is_one_line(tmp_path, capsys, records):
    write_records(tmp_path / "records" / "base.verbal.jsonl", records)
    arguments = ["--records", str(tmp_path / "records"), "--out", str(tmp_path / "out")]
    assert main(["report", *arguments, "--coefficients", str(tmp_path / "none.yaml")]) == 1
    assert capsys.readouterr().err.startswith("error: --coefficients: ")


def test_the_share_that_was_cut_off_is_of_the_answers_that_say_how_they_ended(make_record):
    ends = ["length", "stop", "stop", "stop", ""]
    cell = summarise([make_record(f"q{i}", finish_reason=end) for i, end in enumerate(ends)])
    assert cell.truncated == 1 / 4
    assert math.isnan(summarise([make_record()]).truncated)


def test_dp_names_the_tokens_that_it_stands_on(make_record):
    texts = ["7", "7", "sure", None]
    records = [
        make_record(f"q{i}", protocol="dp", detail={} if text is None else {"token": text})
        for i, text in enumerate(texts)
    ]
    models, _ = summarise_all(records)
    assert models["base"]["dp"]["pooled"].tokens == {"7": 2 / 3, "sure": 1 / 3}


def test_the_report_says_what_sc_s_rule_merged(tmp_path, make_record):
    records = [
        make_record(f"q{i}", protocol="sc", detail={"clusters": [2], "merged": i < 3}, texts=["a"])
        for i in range(4)
    ]
    write_records(tmp_path / "records" / "base.sc.jsonl", records)
    arguments = ["--records", str(tmp_path / "records"), "--out", str(tmp_path / "out")]
    assert main(["report", *arguments]) == 0
    said = "on this share of the questions: base 75%. sc_own compares texts."
    assert said in (tmp_path / "out" / "report.md").read_text()
    assert said in (tmp_path / "out" / "report.html").read_text()
    assert merged_by_sc([make_record(protocol="sc", detail={"merged": False})]) == []


def test_values_read_back_from_report_json_are_those_written(published):
    report = json.loads((published / "report.json").read_text())
    for protocols in report["models"].values():
        for cells in protocols.values():
            for written in cells.values():
                text = json.dumps(SliceValues.from_json(written).as_json())
                assert json.loads(text.replace("NaN", "null")) == written
