"""The step `statistics` on a small run: Table 1, correlations, coefficients,
each question's difficulty.
"""

import csv
import json
import math

import pytest

from data_prep.questions import SourceQuestion, write_questions
from data_prep.steps.context import Context, Models
from data_prep.steps.statistics import step
from data_prep.steps.statistics.heatmap import heatmap
from data_prep.steps.statistics.step import StatisticsConfig
from data_prep.steps.statistics.table import COLUMNS, paper_table
from reward_fns.coefficients_file import (
    Coefficients,
    QuestionReference,
    load_coefficients,
    load_references,
)
from reward_fns.difficulty import DatasetStatistics, from_statistics, paper_statistics
from reward_fns.files import read_jsonl


def lines(path, records):
    path.write_text(
        "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records),
        encoding="utf-8",
    )


@pytest.fixture
def run(tmp_path):
    """Run the step on [(dataset, task, entities or None, label or None), ...];
    "dropped" questions have no records.

    A fifth entry is the question's vote margin, 0.8 without.
    """

    def go(rows, **config):
        ids = [f"q{index}" for index in range(len(rows))]
        own = list(zip(ids, rows, strict=True))
        write_questions(
            tmp_path / "questions.parquet",
            [SourceQuestion(i, d, task, "?", i, b"", "") for i, (d, task, *_) in own],
        )
        kept = [(i, row) for i, row in own if row[3] != "dropped"]
        lines(
            tmp_path / "pairs.jsonl",
            [
                {
                    "question_id": i,
                    "dataset": r[0],
                    "share_true": 0.4,
                    "vote_margin": r[4] if len(r) > 4 else 0.8,
                }
                for i, r in kept
            ],
        )
        lines(
            tmp_path / "labels.jsonl",
            [{"question_id": i, "dataset": r[0], "label": r[3]} for i, r in kept],
        )
        lines(
            tmp_path / "entities.jsonl",
            [
                {"question_id": i, "dataset": r[0], "entities": r[2]}
                for i, r in kept
                if r[2] is not None
            ],
        )
        context = Context(tmp_path, "statistics", "", Models(None, tmp_path))
        counts = step.run(context, StatisticsConfig(**config))
        return counts, json.loads((tmp_path / "statistics.json").read_text(encoding="utf-8"))

    return go


BIRDS = [
    ("vögel", "QA", ["oslo", "lima"], "entailment"),
    ("vögel", "QA", ["oslo"], "contradiction"),
    ("vögel", "QA", [], "neutral"),
    ("vögel", "QA", ["oslo", "oslo", "riga"], "entailment"),
    ("vögel", "QA", None, None),
    ("vögel", "QA", None, None),
    ("vögel", "QA", None, "dropped"),
]
BIRDS_STATISTICS = DatasetStatistics("vögel", 6, 1.5, 3.0, 25.0)  # as in test_tally


def test_table_one_by_hand_and_the_papers_beside_it(run, tmp_path):
    counts, _ = run(BIRDS)
    assert (counts.n_in, counts.n_out) == (6, 6)
    with (tmp_path / "table1.csv").open(encoding="utf-8", newline="") as file:
        own, *papers = csv.DictReader(file)
    numbers = {
        key: float(value) for key, value in own.items() if key not in ("source", "dataset", "type")
    }
    assert (own["source"], own["dataset"], own["type"]) == ("run", "vögel", "QA")
    assert numbers == pytest.approx(
        {
            "num_samples": 6,
            "avg_entity_count": 1.5,
            "avg_entity_rarity": 3.0,
            "entailment_pct": 50.0,
            "contradiction_pct": 25.0,
            "neutral_pct": 25.0,
            "rarity_score": 1e4 * 1.5 / (3 * math.log(16)),
            "labelled": 4,
            "entailment": 2,
            "contradiction": 1,
            "neutral": 1,
        }
    )
    assert [row["dataset"] for row in papers] == [stats.dataset for stats in paper_statistics()]
    report = (tmp_path / "table1.md").read_text(encoding="utf-8")
    assert "| vögel   | QA   |       6 |               1.50 |" in report and "| MovieNet " in report
    assert (
        "the paper's table, by dataset: r = -0.355 [-0.745, 0.216], p = 0.21, n = 14. Not decided"
        in report
    )


def test_each_question_keeps_its_own_difficulty(run, tmp_path):
    run(BIRDS)
    records = list(read_jsonl(tmp_path / "difficulty.jsonl"))
    assert [r["question_id"] for r in records] == [f"q{index}" for index in range(6)]
    assert [r["entity_rarity"] for r in records] == [
        2.5,
        4.0,
        None,
        3.0,
        None,
        None,
    ]  # as in test_tally
    assert [r["entity_count"] for r in records] == [2, 1, 0, 3, None, None]
    assert {(r["dataset"], r["share_true"], r["vote_margin"]) for r in records} == {
        ("vögel", 0.4, 0.8)
    }


def test_what_a_question_is_measured_against_by_hand(run, tmp_path):
    margins = [0.2, 0.6, None, 0.6, 0.2, None]
    birds = [(*row, margin) for row, margin in zip(BIRDS, margins, strict=False)]
    run([*birds, ("b", "QA", [], "neutral", None), ("b", "QA", None, None, None)])
    found = load_references(tmp_path / "coefficients.yaml")
    # Margins 0.2, 0.6, 0.6, 0.2: mean 0.4, each 0.2 away.
    assert found["vögel"].vote_margin.mean == pytest.approx(0.4)
    assert found["vögel"].vote_margin.sd == pytest.approx(0.2)
    # Rarities 2.5, 4 and 3 (as in test_tally), product 30: ln 0.9163, 1.3863, 1.0986, mean 1.1337,
    # squares of the deviations 0.04728, 0.06378, 0.00123: sd = sqrt(0.11229 / 3) = 0.19347
    assert found["vögel"].log_entity_rarity.mean == pytest.approx(math.log(30) / 3)
    assert found["vögel"].log_entity_rarity.sd == pytest.approx(0.19347, abs=1e-5)
    # Measured, and nothing found.
    assert found["b"] == QuestionReference()


def test_coefficients_are_those_of_the_measured_statistics(run, tmp_path):
    other = [("b", "Detail", ["oslo"], "contradiction"), ("b", "Detail", ["lima"], "neutral")]
    other_statistics = DatasetStatistics("b", 2, 1.0, 1.0, 50.0)
    run(BIRDS + other)
    assert load_coefficients(tmp_path / "coefficients.yaml") == {
        "vögel": from_statistics(BIRDS_STATISTICS),
        "b": from_statistics(other_statistics),
    }
    run(BIRDS + other, scheme="appendix", reference="pool")
    pool = [BIRDS_STATISTICS, other_statistics]
    assert load_coefficients(tmp_path / "coefficients.yaml")["b"] == from_statistics(
        other_statistics, "appendix", "pool", pool
    )
    assert (tmp_path / "heatmap.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("b", "QA", None, None)], "no Better answer"),
        (
            [("b", "QA", [], "neutral")],
            "no named entity in any Better answer, so rarity is undefined",
        ),
        (
            [("b", "QA", ["oslo"], None)],
            "no labelled pair, so the share of contradictions is undefined",
        ),
    ],
)
@pytest.mark.parametrize("reference", ["paper", "pool"])
def test_a_dataset_without_statistics_falls_back_to_ones_with_the_reason(
    run, tmp_path, rows, reason, reference
):
    _, found = run(rows + BIRDS, reference=reference)
    assert list(found["coefficients"]) == ["b", "vögel"]  # in the order of the questions
    assert load_coefficients(tmp_path / "coefficients.yaml")["b"] == Coefficients(
        1.0, 1.0, 1.0, 1.0
    )
    assert found["not_measured"] == {"b": reason}
    assert f"- b has the coefficients 1, 1, 1, 1: {reason}." in (tmp_path / "table1.md").read_text(
        encoding="utf-8"
    )


def test_a_dataset_beyond_the_papers_range_is_named(run, tmp_path):
    ordinary = [("b", "QA", ["oslo"], "contradiction" if i < 4 else "neutral") for i in range(20)]
    _, found = run(BIRDS + ordinary)
    # b: 20 % contradictions; rarity score 1e4 * 1 / (20 * ln 30) = 147.0
    assert found["beyond_the_paper"] == {
        "vögel": "rarity score 1803.4 (the paper's: 6.5 to 85.4)",
        "b": "rarity score 147.0 (the paper's: 6.5 to 85.4)",
    }
    many = [("b", "QA", ["oslo"], "contradiction" if i < 50 else "neutral") for i in range(100)]
    _, found = run(many)  # 1e4 / (100 * ln 110) = 21.3
    assert found["beyond_the_paper"] == {"b": "contradiction % 50.0 (the paper's: 13.2 to 36.3)"}
    assert "- b: contradiction % 50.0" in (tmp_path / "table1.md").read_text(encoding="utf-8")
    assert run(many, reference="pool")[1]["beyond_the_paper"] == {}


def rare_ones_contradict(dataset, slope):
    """40 questions: `slope` of the 20 about a rare entity contradict more than of the 20
    about a common one.
    """
    rows = []
    for index in range(40):
        rare, turn = index % 2, index // 2
        name = f"{dataset}-rare-{turn}" if rare else "common"
        contradicts = turn < (10 + slope if rare else 10 - slope)
        rows.append((dataset, "QA", [name], "contradiction" if contradicts else "entailment"))
    return rows


@pytest.mark.parametrize(
    ("slope", "finding"), [(6, "yes: rarer"), (-6, "no: rarer"), (0, "not decided")]
)
def test_the_finding_by_question_follows_the_data(run, slope, finding):
    _, found = run(rare_ones_contradict("a", slope) + rare_ones_contradict("b", slope))
    for name in ("pooled", "ranked", "within"):
        value = found["correlations"]["by_question"][name]
        assert value["finding"].startswith(finding) and value["n"] == 80
    # Rare: 1 of 20 times, common: 20. Contradictions 10 + s of 20 and 10 - s of 20 in both
    # datasets: phi = -s / 10.
    assert found["correlations"]["by_question"]["pooled"]["r"] == pytest.approx(-slope / 10)
    assert found["correlations"]["by_dataset"]["avg_entity_rarity"]["reason"] == "too few points"


def test_by_dataset_the_correlation_is_over_the_rows_that_have_both(run):
    rows = []
    for index, contradictions in enumerate((8, 6, 4, 2)):
        for i in range(10):
            name = (
                "same" if i <= 2 * index else f"own-{i}"
            )  # a larger share of one name: more frequent entities
            rows.append(
                (f"d{index}", "QA", [name], "contradiction" if i < contradictions else "neutral")
            )
    _, found = run([*rows, ("empty", "QA", None, None)])
    value = found["correlations"]["by_dataset"]["avg_entity_rarity"]
    # Frequencies (k^2 + 10 - k) / 10 for k = 1, 3, 5, 7: 1, 1.6, 3, 5.2; percentages 80, 60,
    # 40, 20. From their means: -1.7, -1.1, 0.3, 2.5 and 30, 10, -10, -30: products -140, squares
    # 10.44 and 2000: r = -140 / sqrt(20880)
    assert value["n"] == 4 and value["r"] == pytest.approx(-140 / math.sqrt(20880))


def test_papers_table_is_the_transcribed_one_and_has_its_columns():
    assert all(tuple(row) == COLUMNS for row in paper_table())
    own = {
        s.dataset: (s.num_samples, s.avg_entity_count, s.avg_entity_rarity, s.contradiction_pct)
        for s in paper_statistics()
    }
    names = ("num_samples", "avg_entity_count", "avg_entity_rarity", "contradiction_pct")
    assert {row["dataset"]: tuple(row[name] for name in names) for row in paper_table()} == own
    for row in paper_table():
        assert row["entailment_pct"] + row["contradiction_pct"] + row[
            "neutral_pct"
        ] == pytest.approx(100, abs=0.02)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"scheme": "tabel4"}, "statistics.scheme must be one of table4, "),
        ({"reference": "all"}, "must be one of paper, pool"),
    ],
)
def test_an_unknown_scheme_or_reference_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        StatisticsConfig(**config)


def test_memory_holds_counts_and_no_records(run, tmp_path):
    import tracemalloc

    def peak(n):
        text = "x" * 500  # of the records that must not stay
        rows = [
            ("a", "QA", [f"name-{i % 50}"], ("contradiction", "neutral")[i % 2]) for i in range(n)
        ]
        run(rows)
        lines(
            tmp_path / "pairs.jsonl",
            [
                {
                    "question_id": f"q{i}",
                    "dataset": "a",
                    "share_true": 0.4,
                    "vote_margin": 0.8,
                    "better": text,
                }
                for i in range(n)
            ],
        )
        context = Context(tmp_path, "statistics", "", Models(None, tmp_path))
        step._tallied(context)
        tracemalloc.start()
        step._tallied(context)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    # 24 bytes a labelled question are kept; a record would be over 600.
    small, large = peak(300), peak(4000)
    assert large - small < 3700 * 24 * 3 + 300_000


@pytest.mark.parametrize("name", ["a$\\frac{$", "$x$", "a_b^c{d}"])
def test_a_dollar_in_a_data_set_s_name_begins_no_formula(name):
    """As a formula it is another name, or ends the step."""
    values = Coefficients(1.0, 1.0, 1.0, 1.0)
    assert heatmap({name: values}, [name]).startswith(b"\x89PNG")
