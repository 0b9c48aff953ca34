"""The paper's values, and its tables with ours beside them."""

import pytest

from eval import paper
from eval.naming.model_names import checkpoint, model_title, ordered_models, ordered_protocols
from eval.numbers.summarise import summarise_all
from eval.tables.paper_tables import paper_tables
from eval.tables.render import to_csv


def test_cells_of_tables_2_and_12():
    assert paper.calibration("TextVQA", "entailment", "base", "dp", "ece") == 0.418
    assert paper.calibration("text-vqa", "neutral", "rl", "pcr", "auroc") == 0.597
    assert (
        paper.calibration("sharegpt4v-textvqa", "contradiction", "r_tuning", "verbal_asked", "ece")
        == 0.551
    )
    assert paper.accuracy("OCR-VQA", "entailment", "sft") == 0.72
    assert paper.accuracy("COCO", "entailment", "sft") is None  # Tables 11 and 12 have QA only
    assert paper.calibration("pocket-digit", "entailment", "base", "dp", "ece") is None
    assert paper.calibration("TextVQA", "entailment", "rl_proper", "dp", "ece") is None
    assert (
        paper.calibration("TextVQA", "entailment", "base", "dp_end", "ece") is None
    )  # a variant is not the paper's


@pytest.mark.parametrize(
    ("protocol", "ratio"),
    [("dp", 0.597), ("sc", 0.748), ("pcr", 0.813), ("verbal_asked", 0.578), ("vcap", 0.668)],
)
def test_headline_ratios_of_the_notes(protocol, ratio):
    found = paper.mean_calibration("rl", protocol, "ece") / paper.mean_calibration(
        "base", protocol, "ece"
    )
    assert found == pytest.approx(ratio, abs=5e-4)


def test_mean_verbal_ece_by_task():
    assert paper.mean_calibration("rl", "verbal_asked", "ece", "QA") == pytest.approx(
        0.250, abs=5e-4
    )
    assert paper.mean_calibration("rl", "verbal_asked", "ece", "Detail") == pytest.approx(
        0.135, abs=5e-4
    )


def test_models_stand_in_the_order_of_training_and_checkpoints_by_step():
    names = ["x", "rl", "base", "rl@200", "rl_proper", "rl@40", "sft"]
    assert ordered_models(names) == ["base", "sft", "rl@40", "rl@200", "rl", "rl_proper", "x"]
    assert checkpoint("a@b") == ("a@b", None)
    assert model_title("rl@1200") == "RL (Algorithm 1), step 1,200"
    assert ordered_protocols(["vcap", "other", "dp_end", "verbal", "dp"]) == [
        "dp",
        "dp_end",
        "verbal",
        "vcap",
        "other",
    ]


def test_paper_tables_have_ours_and_the_papers_value_by_subset(make_record):
    # bin 9: one right and one wrong at 0.9, ECE 0.4; accuracy 1/2
    records = [
        make_record(
            "q0", dataset="TextVQA", subset="entailment", protocol="dp", confidence=0.9, correct=1.0
        ),
        make_record(
            "q1", dataset="TextVQA", subset="entailment", protocol="dp", confidence=0.9, correct=0.0
        ),
        make_record("q2", dataset="own/set", subset="neutral", protocol="dp"),
    ]
    calibration, own, accuracy = paper_tables(summarise_all(records)[1])
    assert [column.name for column in calibration.columns[2:6]] == [
        "ECE",
        "AUC",
        "paper ECE",
        "paper AUC",
    ]
    assert calibration.rows[0][:6] == ("base", "DP", pytest.approx(0.4), 0.5, 0.418, 0.396)
    assert calibration.rows[0][6:8] == (None, None)  # no contradiction among ours
    assert "paper" not in to_csv(own) and own.name == "calibration_own_set"
    assert accuracy.rows[0][:4] == ("TextVQA", "base", 0.5, 0.59)
    assert any("entailment 2, contradiction 0, neutral 0" in note for note in calibration.notes)


def test_without_subsets_there_is_no_such_table(make_record):
    assert paper_tables(summarise_all([make_record()])[1]) == []
