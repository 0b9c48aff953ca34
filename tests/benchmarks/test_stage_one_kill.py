"""The pocket model's whole run, killed twelve times, against one that was not:
really, not by script.

pytest tests/benchmarks/test_stage_one_kill.py -s
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm_runs

CONFIG = Path(__file__).parents[2] / "data_prep" / "configs" / "pocket.yaml"
QUESTIONS, KILLS = 200, 12


@pytest.mark.timeout(3600)
def test_killed_pocket_runs_end_as_an_uninterrupted_one_does(tmp_path):
    data = [
        sys.executable,
        "-m",
        "data_prep.pocket",
        "data",
        "--out",
        str(tmp_path / "data"),
        *(word for part in ("--train", "--test", "--sft") for word in (part, str(QUESTIONS // 3))),
    ]
    subprocess.run(data, check=True)
    overrides = [f"datasets[0].root={tmp_path / 'data'}", "sample.batch=32"]

    def arguments(run):
        return "run", str(CONFIG), "--out", str(run), *overrides

    with warm_runs.Zygote(tmp_path / "log", "sentence_transformers", "spacy", "vllm") as zygote:
        started = time.monotonic()
        zygote.start(*arguments(tmp_path / "whole"))
        assert zygote.result()[0] == 0, zygote.log()
        duration = time.monotonic() - started
        rng = random.Random(0)
        runs, moments = warm_runs.killed_runs(
            zygote, tmp_path, arguments, KILLS, lambda: rng.uniform(0.2, 0.35) * duration
        )
    print(f"\nuninterrupted {duration:.0f} s; steps done at each kill: {moments}")
    # A start takes a fifth of the whole; the rest of a pause is progress.
    assert len(moments) == KILLS and len(set(moments)) >= 3
    for run in runs:
        warm_runs.assert_same_files(run, tmp_path / "whole")
