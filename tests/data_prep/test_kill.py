"""Killed at random moments and started again, a run gives what one without a kill gives, and pays for nothing twice."""

import json
import os
import random
import signal
import time
from collections import Counter

import scripted

from data_prep.steps import STEPS
from reward_fns.expert.entries import read_entries
from reward_fns.files import read_jsonl

KILLS = 12
CONCURRENCY = 4


def _asked(log):
    return log.read_text().splitlines() if log.exists() else []


def _paid(run):
    cache = run / "cache" / "expert"
    return {entry["content"] for entry in read_entries(cache)} if (cache / "cache.db").exists() else set()


def test_killed_runs_end_as_an_uninterrupted_one_does(tmp_path, zygote, tiny_encoder):
    datasets = [scripted.write_dataset(tmp_path / name, 90, ["{torn"]) for name in ("places", "towns")]
    log = tmp_path / "asked"
    expert = {**scripted.EXPERT, "log": str(log), "delay": 0.01, "lease": 0.2}
    config = scripted.write_config(
        tmp_path / "config.yaml",
        datasets,
        model={"kind": "scripted:ScriptedEngine", "delay": 0.02},
        sample={"batch": 16},
        verify={"batch": 16},
        pair={"encoder": str(tiny_encoder), "batch": 16},
        label={"expert": expert, "concurrency": CONCURRENCY},
        splits={"train": 8, "sft": 6},
        sft={
            **dict.fromkeys(("extractor", "rewriter", "verifier", "judge"), expert),
            "workers": CONCURRENCY,
            "batch": 8,
        },
    )

    def start(name):
        return zygote.start("run", str(config), "--out", str(tmp_path / name))

    started = time.monotonic()
    start("whole")
    assert zygote.result()[0] == 0, zygote.log()
    duration = time.monotonic() - started
    once = Counter(_asked(log))
    log.unlink()

    rng, run = random.Random(0), tmp_path / "killed"
    moments = []
    while len(moments) < KILLS:
        paid, before = _paid(run), len(_asked(log))
        pid = start("killed")
        time.sleep(rng.uniform(0.02, 3 * duration / KILLS))
        os.kill(pid, signal.SIGKILL)
        status, _ = zygote.result()
        assert not paid & set(_asked(log)[before:]), "an answer that was kept was asked for again"
        assert status in (0, -signal.SIGKILL), zygote.log()
        if status == 0:
            break  # it was done before the kill
        done = json.loads((run / "manifest.json").read_text())["steps"] if (run / "manifest.json").exists() else {}
        moments.append(len(done))
    start("killed")
    assert zygote.result()[0] == 0, zygote.log()

    assert len(moments) >= 10 and len(set(moments)) >= 3, f"kills hit too few steps: {moments}"
    for step in STEPS.values():
        for name in step.files:
            assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    for failures in (tmp_path / "whole" / "failures").iterdir():
        assert (run / "failures" / failures.name).read_bytes() == failures.read_bytes()
    ids = [record["question_id"] for record in read_jsonl(run / "labels.jsonl")]
    assert len(ids) == len(set(ids)) == 180
    # What was under way when a kill came may be asked again, nothing else is.
    asked = Counter(_asked(log))
    assert asked.keys() == once.keys()
    assert sum(asked.values()) - len(asked) <= KILLS * CONCURRENCY * 4
    assert not list((run / "partial").iterdir())
