"""`python -m eval ablation` on records whose values are known by hand."""

import csv

import pytest

from eval.__main__ import main
from eval.comparison.ablation import ablation_lines
from eval.records import write_records

N = 100  # every other answer is right


@pytest.fixture
def seeds(make_record, tmp_path):
    """Who says 0.5 is calibrated, who says 0.9 is not. On the third seed that is SFT. On the first
    there is `rl`, which is right about itself where it can be read, on 60 of the answers.
    """

    def write(seed, model, confidences, protocol="verbal"):
        records = [
            make_record(
                f"q{i}", model=model, protocol=protocol, confidence=stated, correct=float(i % 2)
            )
            for i, stated in enumerate(confidences)
        ]
        write_records(tmp_path / seed / f"{model}.{protocol}.jsonl", records)

    for seed, base, sft in (("s0", 0.9, 0.5), ("s1", 0.9, 0.5), ("s2", 0.5, 0.9)):
        write(seed, "base", [base] * N)
        write(seed, "sft", [sft] * (N - 1) + [None])
    write("s0", "base", [0.9] * N, "dp")
    write("s0", "base", [0.5] * N, "dp+isotonic")
    write("s0", "rl", [float(i % 2) if i < 60 else None for i in range(N)])
    return {seed: tmp_path / seed for seed in ("s0", "s1", "s2")}


STARTS = {"base": "", "sft": "base", "rl": "sft"}


def run(seeds, *arguments, models=("base", "sft=base", "rl=sft")):
    records = [f"{seed}={place}" for seed, place in seeds.items()]
    return main(["ablation", "--records", *records, "--models", *models, *arguments])


def test_values_and_differences_are_those_computed_by_hand(seeds):
    lines = {(line.protocol, line.model): line for line in ablation_lines(seeds, STARTS)}
    base, sft = lines["verbal", "base"].seeds["s0"], lines["verbal", "sft"].seeds["s0"]
    # Half are right: ECE 0.9 - 0.5, Brier (0.1^2 + 0.9^2) / 2.
    assert base.values["ece"] == pytest.approx(0.4)
    assert base.values["brier"] == pytest.approx(0.41)
    assert base.values["auroc"] == 0.5 and not base.differences
    # The last answer, a right one, cannot be read: 49 of 99 are right.
    assert (sft.n, sft.readable, sft.unreadable) == (100, 99, pytest.approx(0.01))
    assert sft.values["ece"] == pytest.approx(0.5 - 49 / 99)
    assert sft.values["brier"] == pytest.approx(0.25)
    # On those 99 the base's Brier score is (49 * 0.01 + 50 * 0.81) / 99.
    difference = sft.differences["brier"].difference
    assert difference.value == pytest.approx(0.25 - 40.99 / 99)
    assert difference.low < difference.value < difference.high < 0


def test_the_table_is_read_from_its_first_line_on(seeds, tmp_path, capsys):
    assert run(seeds, "--out", str(tmp_path / "t.md"), str(tmp_path / "t.csv")) == 0
    shown = (tmp_path / "t.md").read_text()
    assert capsys.readouterr().out.strip() == shown.strip()
    head, rule, *body = [line for line in shown.splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in head.strip("|").split("|")]
    rows = [
        dict(zip(names, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        for line in body
    ]
    assert [(row["protocol"], row["model"]) for row in rows] == [
        ("Verbal", "base"),
        ("Verbal", "sft"),
        ("Verbal", "rl"),
        ("DP", "base"),
        ("DP + isotonic", "base"),
    ]
    base, sft, rl, _, isotonic = rows
    assert base["seeds"] == "s0 / s1 / s2" and base["ECE ↓"] == "0.400 / 0.400 / 0.000"
    assert base["Brier ↓"] == "0.410 / 0.410 / 0.250"
    assert base["against"] == "–" and base["holds: Brier score"] == "–"
    assert sft["unreadable"] == "1.0 % / 1.0 % / 1.0 %" and sft["n"] == "100 / 100 / 100"
    assert sft["against"] == "base" and sft["holds: Brier score"] == "lower on 2, higher on 1 of 3"
    assert sft["difference: Brier score"].startswith("−0.164 [") and "?" not in str(sft)
    assert sft["holds: AUROC"] == "none of 3"
    # Where it can be read it is right about itself, and it hides two fifths.
    assert rl["seeds"] == "s0" and rl["unreadable"] == "40.0 %"
    assert rl["difference: Brier score"].startswith("−0.250 [")
    assert rl["difference: Brier score"].endswith("]?")
    assert isotonic["against"] == "base, DP" and isotonic["holds: Brier score"] == "lower on 1 of 1"


def test_the_csv_has_unrounded_values_a_column_a_seed(seeds, tmp_path):
    assert run(seeds, "--out", str(tmp_path / "t.csv")) == 0
    lines = [line for line in (tmp_path / "t.csv").open() if not line.startswith("#")]
    rows = {(row["protocol"], row["model"]): row for row in csv.DictReader(lines)}
    sft, rl = rows["verbal", "sft"], rows["verbal", "rl"]
    assert float(sft["s2: brier"]) == pytest.approx((49 * 0.01 + 50 * 0.81) / 99)
    assert float(sft["s1: brier difference"]) == pytest.approx(0.25 - 40.99 / 99)
    assert float(sft["s1: brier difference high"]) < 0
    counts = [sft[f"brier {way}"] for way in ("lower on", "higher on", "seeds compared")]
    assert counts == ["2", "1", "3"]
    assert rl["s1: brier"] == "" and rl["s0: brier verdict"] == "undecided"


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (("base", "sft=bse"), "bse is a start and no model of the table"),
        (("base", "dpo=base"), "no records of dpo in"),
        (("base", "sft=base", "sft"), "a seed or a model stands twice"),
    ],
)
def test_what_cannot_be_shown_is_one_line(seeds, capsys, models, said):
    assert run(seeds, models=models) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and said in shown and shown.count("\n") == 1


def test_a_number_that_none_can_read_is_a_dash(make_record, tmp_path, capsys):
    for model in ("base", "r_tuning"):
        stated = 0.5 if model == "base" else None
        records = [
            make_record(f"q{i}", model=model, confidence=stated, correct=float(i % 2))
            for i in range(40)
        ]
        write_records(tmp_path / f"{model}.verbal.jsonl", records)
    assert run({"s0": tmp_path}, models=("base", "r_tuning=base")) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "r_tuning" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[4:9] == ["–"] * 5 and cells[9:11] == ["0.500", "100.0 %"]
    assert cells[12:] == ["–"] * 6
