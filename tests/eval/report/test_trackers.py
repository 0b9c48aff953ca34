"""The report's numbers arrive in each tracker as its own package reads them back."""

import math
import sys

import pytest

from eval.__main__ import main
from eval.numbers.values import Measured, SliceValues
from eval.report import trackers
from eval.report.content import Provenance, Report, Warnings
from reward_fns.errors import UserError

ECE = "rl/verbal/pooled/ece"


def _report():
    def of(**metrics):
        return {"verbal": {"pooled": SliceValues(n=4, metrics=metrics)}}

    late, early = Measured(0.125, 0.1, 0.2), Measured(0.25)
    return Report(
        models={"rl": of(ece=late, auroc=Measured(math.nan)), "rl@20": of(ece=early)},
        slices={},
        claims={},
        ece_ratios={},
        comparisons=(),
        made=Provenance({}, 3, "python -m eval report", {}, {}),
        warnings=Warnings(),
        training={},
        stage_seconds={},
    )


REPORT = _report()


def test_undefined_values_are_left_out_and_a_checkpoint_is_a_step():
    counts = {"rl/verbal/pooled/n": 4.0, "rl/verbal/pooled/parse_failures": 0.0}
    expected = {0: {ECE: 0.125} | counts, 20: {ECE: 0.25} | counts}
    assert trackers.series(REPORT.models) == expected


def test_tensorboard_reads_them_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trackers.track(REPORT, ["tensorboard"], tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars(ECE)] == [(0, 0.125), (20, 0.25)]


def test_wandb_keeps_them(tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    trackers.track(REPORT, ["wandb"], tmp_path)
    wandb.teardown()  # its service process writes the file
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert ECE.encode() in file.read_bytes()


def test_mlflow_reads_them_back(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")  # the one tracker that training does not bring along
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    trackers.track(REPORT, ["mlflow"], tmp_path)
    (run,) = mlflow.search_runs(output_format="list", search_all_experiments=True)
    assert run.data.metrics[ECE] == 0.25 and run.data.params["seed"] == "3"


def test_a_package_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match="pip install no-such-tracker"):
        trackers._package("no_such_tracker", "no-such-tracker")


def test_a_tracker_that_refuses_is_one_line_behind_the_report_and_keeps_none_from_the_others(
    records_directory, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # not installed
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no key in its .netrc
    monkeypatch.setenv("WANDB_SILENT", "true")
    out = tmp_path / "out"
    kinds = ["mlflow", "wandb", "tensorboard"]
    options = ["--records", str(records_directory), "--out", str(out), "--track", *kinds]
    assert main(["report", *options]) == 1
    told = capsys.readouterr()
    line = told.err.splitlines()[-1]
    assert line.startswith(f"error: the report is written to {out}; --track mlflow: ")
    assert "pip install mlflow; --track wandb: " in line
    assert "set WANDB_API_KEY, or WANDB_MODE=offline" in line
    assert (out / "report.html").is_file() and "tensorboard: " in told.out
