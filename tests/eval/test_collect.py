"""From specs to record files with a scripted engine: what is reused, what is set aside, what a killed run leaves."""

import json

import pytest

from data_prep.engines import Completion
from eval import collect as module
from eval.__main__ import main
from eval.records import read_records

WHOLE = {"base.verbal.jsonl", "base.verbal.settings.json"}


@pytest.fixture
def asked(monkeypatch):
    """Number of questions asked of each model that was loaded, in order. A spec `x` is a model of fingerprint `x`."""
    log: list[tuple[str, int]] = []

    class Engine:
        def __init__(self, spec):
            self.fingerprint = spec

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def generate(self, requests, sampling):
            log.append((self.fingerprint, len(requests)))
            text = f"1. Model {self.fingerprint}. I'm sure.\nConfidence: 0.5"
            return [[Completion(text)] * sampling.n for _ in requests]

    monkeypatch.setattr(module, "open_engine", lambda spec, cache: Engine(spec))
    return log


@pytest.fixture
def records(tmp_path, question_rows, write_questions):
    questions = write_questions(question_rows(4))

    def run(*models, options=()):
        specs = [part for model in models for part in ("--model", model)]
        out = tmp_path / "records"
        assert main(["records", *specs, "--questions", str(questions), "--out", str(out), *options]) == 0
        return out

    return run


def names(directory):
    return {path.name for path in directory.iterdir() if path.is_file()}


def set_aside(out):
    (directory,) = (out / "old").iterdir()
    assert len(directory.name) == 8 and int(directory.name, 16) >= 0
    return directory


def test_a_retrained_model_is_asked_anew_and_the_others_are_reused(asked, records, capsys):
    out = records("base=a", "rl=b")
    before = read_records(out / "rl.verbal.jsonl")
    records("base=a", "rl=c")
    assert asked == [("a", 4), ("b", 4), ("c", 4)]
    assert read_records(set_aside(out) / "rl.verbal.jsonl") == before
    assert {"Model c" in r.response for r in read_records(out / "rl.verbal.jsonl")} == {True}
    assert json.loads((out / "rl.verbal.settings.json").read_text())["model_sha256"] == "c"
    lines = [line for line in capsys.readouterr().out.splitlines() if "made with another" in line]
    assert len(lines) == 1 and "another model_sha256" in lines[0] and str(set_aside(out)) in lines[0]


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--seed", "1", "seed"),
        ("--temperature", "0", "temperature"),
        ("--max-tokens", "9", "max_tokens"),
        ("--samples", "3", "samples"),
    ],
)
def test_other_decoding_sets_records_aside(asked, records, capsys, option, value, name):
    out = records("base=a")
    records("base=a", options=(option, value))
    assert f"made with another {name}, now in" in capsys.readouterr().out
    assert names(out) == WHOLE == names(set_aside(out)) and [n for _, n in asked] == [4, 4]


def test_the_same_settings_reuse_everything(asked, records):
    options = ("--temperature", "1e-05")  # YAML would read this number as text
    out = records("base=a", options=options)
    before = read_records(out / "base.verbal.jsonl")
    records("base=a", options=options)
    assert asked == [("a", 4)] and read_records(out / "base.verbal.jsonl") == before and not (out / "old").exists()


def keep_partial(out, n_records):
    """What a kill leaves after so many answers."""
    whole = out / "base.verbal.jsonl"
    lines = whole.read_text().splitlines(keepends=True)
    whole.unlink()
    whole.with_name(whole.name + ".partial").write_text("".join(lines[:n_records]))


def test_a_partial_file_of_the_same_settings_is_gone_on_with(asked, records):
    out = records("base=a")
    keep_partial(out, 1)
    records("base=a")
    assert asked == [("a", 4), ("a", 3)] and names(out) == WHOLE


def test_a_partial_file_of_other_settings_is_set_aside(asked, records):
    out = records("base=a")
    keep_partial(out, 1)
    records("base=b")
    assert asked == [("a", 4), ("b", 4)] and names(out) == WHOLE
    assert names(set_aside(out)) == {"base.verbal.jsonl.partial", "base.verbal.settings.json"}


def test_records_without_settings_are_not_trusted(asked, records, capsys):
    out = records("base=a")
    (out / "base.verbal.settings.json").unlink()
    records("base=a")
    assert "made with unknown settings" in capsys.readouterr().out
    assert [n for _, n in asked] == [4, 4] and names(set_aside(out)) == {"base.verbal.jsonl"}


def test_a_report_reads_the_new_records_only(asked, records, tmp_path):
    records("base=a")
    out = records("base=b")
    assert main(["report", "--records", str(out), "--out", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["models"]["base"]["verbal"]["pooled"]["n"] == 4
    assert {name: s["model_sha256"] for name, s in report["records"].items()} == {"base.verbal.settings.json": "b"}
