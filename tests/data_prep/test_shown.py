"""What a step shows is printed when it is done and when it was done before."""

from dataclasses import replace

import scripted

from data_prep.pipeline.config import load_config
from data_prep.pipeline.runner import run_steps
from data_prep.pipeline.step_table import STEPS


def test_a_step_shows_its_file_each_time(tmp_path, monkeypatch, capsys):
    scripted.write_dataset(tmp_path / "places", 2)
    dataset = {
        "name": "places",
        "kind": "jsonl",
        "root": str(tmp_path / "places"),
        "file": "questions.jsonl",
    }
    with (tmp_path / "places/questions.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    config = load_config(scripted.write_config(tmp_path / "config.yaml", [dataset]))
    monkeypatch.setitem(
        STEPS, "questions", replace(STEPS["questions"], shows="failures/questions.jsonl")
    )
    for line in ("questions: 3 in, 2 out, 1 dropped", "questions: done before"):
        run_steps(config, tmp_path / "run", ["questions"])
        out = capsys.readouterr().out
        assert line in out and '"reason": "malformed record"' in out


def test_the_tables_of_statistics_and_splits_are_shown():
    for name in ("statistics", "splits"):
        assert STEPS[name].shows in STEPS[name].files
