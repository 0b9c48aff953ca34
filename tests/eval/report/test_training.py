"""Training curves on synthetic logs of verl's file logger:
reading, resumes, phases, report and figure.
"""

import json
import math

import pytest

from eval.__main__ import main
from eval.numbers.training_curves import phases, read_training, steps_a_phase, trailing_mean
from eval.records import write_records
from reward_fns.errors import UserError


def log_line(step, **metrics):
    return json.dumps({"step": step, "data": metrics}) + "\n"


def write_log(directory, name, lines, model="rl"):
    (directory / model).mkdir(parents=True, exist_ok=True)
    (directory / model / name).write_text("".join(lines))


def eces(directory, model="rl"):
    curves = read_training(directory)[model]
    return dict(zip(curves["steps"], curves["ece"], strict=True))


def ece_lines(values):
    return [log_line(step, **{"confidence/ece": value}) for step, value in values.items()]


def test_each_metric_under_its_name(tmp_path):
    metrics = {
        "confidence/ece": 0.2,
        "confidence/at_0_or_1": 0.5,
        "confidence/brier": 0.3,
        "expert/acc": 0.6,
        "confidence/mean": 0.7,
        "reward/total/mean": 1.5,
        "response/well_formed": 1.0,
        "training/filter_groups/evicted_samples": 6.0,
        "training/rollout_actor_probs_pearson_corr": 0.9999,
        "actor/lr": 0.1,
    }
    write_log(tmp_path, "1.jsonl", [log_line(1, **metrics), log_line(2, **{"expert/acc": 0.5})])
    assert read_training(tmp_path)["rl"] == {
        "steps": [1, 2],
        "ece": [0.2, None],
        "at_0_or_1": [0.5, None],
        "brier": [0.3, None],
        "accuracy": [0.6, 0.5],
        "confidence_mean": [0.7, None],
        "reward": [1.5, None],
        "well_formed": [1.0, None],
        "evicted_groups": [6.0, 0],  # verl logs nothing when no group was evicted
        "probs_correlation": [0.9999, None],
    }


def test_a_later_file_takes_the_place_of_what_follows_its_first_step(tmp_path):
    write_log(tmp_path, "100.jsonl", ece_lines({1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}))
    write_log(tmp_path, "200.jsonl", ece_lines({3: 0.33}))  # killed again before step 4
    assert eces(tmp_path) == {1: 0.1, 2: 0.2, 3: 0.33}


def test_a_validation_before_training_is_no_step(tmp_path):
    write_log(tmp_path, "100.jsonl", ece_lines({1: 0.1, 2: 0.2}))
    write_log(tmp_path, "200.jsonl", [log_line(2, **{"val-core/acc": 0.5}), *ece_lines({3: 0.3})])
    assert eces(tmp_path) == {1: 0.1, 2: 0.2, 3: 0.3}


@pytest.mark.parametrize("torn", ['{"step": 2, "da', '{"step": 2}', "7", '{"step"'])
def test_a_torn_last_line_is_ignored(tmp_path, torn):
    write_log(tmp_path, "1.jsonl", [*ece_lines({1: 0.1}), torn])
    assert eces(tmp_path) == {1: 0.1}


@pytest.mark.parametrize(
    "bad", ["{", "[]", '{"step": 1}', '{"step": "x", "data": {}}', '{"step": 1, "data": 3}']
)
def test_another_malformed_line_is_named(tmp_path, bad):
    write_log(tmp_path, "1.jsonl", [*ece_lines({1: 0.1}), bad + "\n", *ece_lines({2: 0.1})])
    with pytest.raises(UserError, match=r"1\.jsonl line 2"):
        read_training(tmp_path)


def test_values_that_are_no_numbers_are_missing(tmp_path):
    write_log(
        tmp_path, "1.jsonl", ['{"step": 1, "data": {"confidence/ece": null, "expert/acc": NaN}}\n']
    )
    curves = read_training(tmp_path)["rl"]
    assert (curves["ece"], curves["accuracy"]) == ([None], [None])


def test_nothing_logged_gives_no_curves(tmp_path):
    (tmp_path / "rl_proper").mkdir()
    write_log(tmp_path, "1.jsonl", [])
    assert read_training(tmp_path) == {} == read_training(tmp_path / "missing")


def test_phases_by_hand():
    # 20 steps: two a phase; the middle ones are the 10th and 11th.
    assert phases(list(range(1, 21))) == (1.5, 10.5, 19.5)
    assert phases([0.5]) == (0.5, 0.5, 0.5)
    first, middle, last = phases([None, 0.2, 0.4])
    assert math.isnan(first) and (middle, last) == (0.2, 0.4)
    assert [steps_a_phase(n) for n in (1, 2, 10, 80)] == [1, 1, 1, 8]


def test_trailing_mean_by_hand():
    smooth = trailing_mean([None, 1.0, 3.0, None, 5.0], 2)
    assert math.isnan(smooth[0]) and smooth[1:] == [1.0, 2.0, 3.0, 5.0]


@pytest.fixture
def report_command(tmp_path, make_record):
    write_records(tmp_path / "records" / "base.verbal.jsonl", [make_record()])

    def run(*options):
        out = tmp_path / "out"
        assert (
            main(["report", "--records", str(tmp_path / "records"), "--out", str(out), *options])
            == 0
        )
        return json.loads((out / "report.json").read_text()), (out / "report.md").read_text(), out

    return run


def test_report_has_curves_section_and_figure(tmp_path, report_command):
    curves = tmp_path / "curves"
    for model, end, extreme in (("rl_proper", 0.1, 0.0), ("rl", 0.3, 1.0)):
        lines = [
            log_line(
                step,
                **{"confidence/ece": 0.4 if step <= 2 else end, "confidence/at_0_or_1": extreme},
            )
            for step in range(1, 21)
        ]
        write_log(curves, "1.jsonl", lines, model)
    report, text, out = report_command("--curves", str(curves))
    assert list(report["training"]) == ["rl", "rl_proper"]
    assert (
        report["training"]["rl"]["ece"][:3] == [0.4, 0.4, 0.3]
        and report["training"]["rl"]["brier"] == [None] * 20
    )
    section = text[text.index("## How confidence moved during GRPO") :]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in section.splitlines()
        if line.startswith("| RL")
    ]
    assert rows[0] == [
        "RL (Algorithm 1)",
        "3 x 2 of 20",
        "0.400",
        "0.300",
        "0.300",
        "100 %",
        "100 %",
        "100 %",
    ]
    assert rows[1] == [
        "RL (proper rule)",
        "3 x 2 of 20",
        "0.400",
        "0.100",
        "0.100",
        "0 %",
        "0 %",
        "0 %",
    ]
    assert section.index("| RL") < section.index("Measured") < section.index("What theory says")

    from PIL import Image

    with Image.open(out / "training.png") as image:
        assert image.format == "PNG" and image.width > 800
    assert {file.stem for file in out.iterdir()} == {
        "reliability",
        "report",
        "risk_coverage",
        "tables",
        "training",
    }


@pytest.mark.parametrize("given", [True, False])
def test_without_curves_there_is_no_section_and_no_error(tmp_path, report_command, given):
    report, text, out = report_command(*(["--curves", str(tmp_path / "missing")] if given else []))
    assert report["training"] == {} and "GRPO" not in text and not (out / "training.png").exists()
