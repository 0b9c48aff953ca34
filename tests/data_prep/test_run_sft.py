"""The end of the pipeline: SFT data and verl's files, through the command, killed and taken up again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scripted

from data_prep.config import load_config
from data_prep.questions import load_questions
from data_prep.runner import run_steps
from data_prep.steps import STEPS
from reward_fns.files import read_jsonl

FILES = ("sft.jsonl", "rl_train.parquet", "test.parquet", "sft.parquet", "r_tuning.parquet")


def roles(log=None, delay=0.0):
    # After a kill the next run waits for as long as a lease on what was being asked.
    return {"kind": "scripted_roles:Roles", "log": log and str(log), "delay": delay, "lease": 1.0}


def configure(folder, n, name="config.yaml", log=None, delay=0.0, **sections):
    """A configuration of the whole pipeline over n scripted questions; `log` and `delay` of the experts of `sft`."""
    dataset = scripted.write_dataset(folder / "places", n)
    experts = dict.fromkeys(("extractor", "rewriter", "verifier", "judge"), roles(log, delay))
    sections = {
        "label": {"expert": roles()},
        "entities": {"extractor": {"kind": "scripted:ScriptedExpert"}},
        "splits": {"train": 4, "sft": 12},
        "sft": {**experts, "batch": 4},
        **sections,
    }
    return scripted.write_config(folder / name, [dataset], **sections)


def run(config, out, overrides=(), steps=STEPS):
    return run_steps(load_config(config, overrides), out, list(steps))


def rows(path):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    run(configure(folder, 120), folder / "run")
    return folder / "run"


def test_every_question_stands_in_the_file_of_its_split(whole):
    splits = {record["question_id"]: record["split"] for record in read_jsonl(whole / "splits.jsonl")}
    files = {"train": "rl_train.parquet", "evaluation": "test.parquet"}
    for split, name in files.items():
        expected = [question_id for question_id, given in splits.items() if given == split]
        assert [question.question_id for question in load_questions(whole / name)] == expected
    expected = [question_id for question_id, given in splits.items() if given == "sft"]
    assert len(expected) >= 12
    assert [row["question_id"] for row in rows(whole / "sft.parquet")] == expected
    assert [row["question_id"] for row in rows(whole / "r_tuning.parquet")] == expected


def test_rows_carry_what_stage_one_measured(whole):
    difficulty = {record["question_id"]: record for record in read_jsonl(whole / "difficulty.jsonl")}
    subsets = {record["question_id"]: record["subset"] for record in read_jsonl(whole / "splits.jsonl")}
    for question in load_questions(whole / "test.parquet"):
        measured = difficulty[question.question_id]
        assert question.share_true == measured["share_true"] and question.vote_margin == measured["vote_margin"]
        assert question.subset == subsets[question.question_id]


def test_images_by_reference_are_the_same_questions(whole, tmp_path):
    run(configure(tmp_path, 120, parquet={"images": "reference"}), tmp_path / "run")
    paths = (whole / "test.parquet", tmp_path / "run" / "test.parquet")
    inside, referred = map(load_questions, paths)
    assert inside == referred
    assert paths[1].stat().st_size < paths[0].stat().st_size


def command(step, config, out):
    """The command line in a process of its own."""
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])])}
    arguments = [sys.executable, "-m", "data_prep", step, str(config), "--out", str(out)]
    return subprocess.Popen(
        arguments, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def test_killed_at_random_moments_it_gives_the_same_and_pays_once(whole, tmp_path):
    log = tmp_path / "asked.jsonl"
    config = configure(tmp_path, 120, log=log, delay=0.04)
    run(config, tmp_path / "run", steps=list(STEPS)[: list(STEPS).index("sft")])
    moments, kills = random.Random(0), 0
    for _ in range(2):
        before = log.stat().st_size if log.exists() else 0
        process = command("sft", config, tmp_path / "run")
        # The moment is counted in answers of the experts, since start-up takes its time.
        while process.poll() is None and (log.stat().st_size if log.exists() else 0) <= before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.15))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 1
    run(config, tmp_path / "run")
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes(), name
    asked = [line for line in log.read_text().splitlines()]
    # An answer that came in the instant of a kill, before it was kept, may be asked for again: at most the 8 under way.
    assert len(asked) - len(set(asked)) <= 8 * kills
    assert {json.loads(line)[0] for line in asked} >= {"FactsRequest", "FactQuestionRequest", "FactRequest"}
