"""Killed at random moments and started again, a run gives what one without a kill gives,
and pays for nothing twice.
"""

import random
import time
from collections import Counter

import scripted
import warm_runs

from reward_fns.expert.keeping.entries import read_entries
from reward_fns.files import read_jsonl

KILLS = 12
CONCURRENCY = 4


def _asked(log):
    return log.read_text().splitlines() if log.exists() else []


def _paid(run):
    cache = run / "cache" / "expert"
    return (
        {entry["content"] for entry in read_entries(cache)}
        if (cache / "cache.db").exists()
        else set()
    )


def test_killed_runs_end_as_an_uninterrupted_one_does(tmp_path, zygote, tiny_encoder):
    datasets = [
        scripted.write_dataset(tmp_path / name, 90, ["{torn"]) for name in ("places", "towns")
    ]
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

    def arguments(run):
        return "run", str(config), "--out", str(run)

    whole = tmp_path / "whole"
    started = time.monotonic()
    zygote.start(*arguments(whole))
    assert zygote.result()[0] == 0, zygote.log()
    duration = time.monotonic() - started
    once = Counter(_asked(log))
    log.unlink()

    paid, n_asked = {}, 0

    def nothing_paid_twice(run):
        nonlocal n_asked
        asked = _asked(log)
        assert not paid.get(run, set()) & set(asked[n_asked:]), (
            "an answer that was kept was asked for again"
        )
        paid[run], n_asked = _paid(run), len(asked)

    rng = random.Random(0)
    runs, moments = warm_runs.killed_runs(
        zygote,
        tmp_path,
        arguments,
        KILLS,
        pause=lambda: rng.uniform(0.02, 3 * duration / KILLS),
        after=nothing_paid_twice,
    )

    assert len(moments) == KILLS and len(set(moments)) >= 3, f"kills hit too few steps: {moments}"
    for run in runs:
        warm_runs.assert_same_files(run, whole)
        ids = [record["question_id"] for record in read_jsonl(run / "labels.jsonl")]
        assert len(ids) == len(set(ids)) == 180
    # What was under way when a kill came may be asked again, nothing else is.
    asked = Counter(_asked(log))
    assert asked.keys() == once.keys()
    assert sum(asked.values()) - len(runs) * len(asked) <= KILLS * CONCURRENCY * 4
