"""Answers and five protocols of the pocket model:
batched vLLM against one request after the other in transformers.

The other way is what evaluation scripts of this field do: `generate` for one prompt, and one
sample, at a time. Both run the same protocols on the same questions, paired in one run;
loading and a first request are not counted.
"""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.engines import Sampling, open_engine
from data_prep.verl_rows import load_questions
from eval.asking.answers import Decoding, answer_questions, line_key
from eval.protocols import DEFAULT, PROTOCOLS, Asked, Options
from eval.records import read_answers
from reward_fns.expert import make_expert
from reward_fns.files import JsonlLog

POCKET = Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model"
QUESTIONS, SAMPLES = 10, 5


class OneAtATime:
    """An engine that gets one request for one sample at a time."""

    def __init__(self, engine):
        self._engine, self.fingerprint = engine, engine.fingerprint

    def generate(self, requests, sampling):
        one = Sampling(sampling.temperature, sampling.max_tokens, 1, sampling.top_logprobs)
        return [
            [self._engine.generate([r], one)[0][0] for _ in range(sampling.n)] for r in requests
        ]


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    out = tmp_path_factory.mktemp("pocket")
    make = [
        sys.executable,
        "-m",
        "data_prep.pocket",
        "data",
        "--out",
        str(out),
        "--train",
        "5",
        "--sft",
        "5",
    ]
    subprocess.run([*make, "--test", str(QUESTIONS)], check=True)
    return load_questions(out / "test.parquet")


def seconds(engine, questions, directory):
    """By step, after a first question that loads everything."""
    options = Options(seed=0, max_tokens=64, sc_samples=SAMPLES)
    protocols = {name: PROTOCOLS[name](options) for name in DEFAULT}
    found = {}
    for part in (questions[:1], questions):
        log = JsonlLog(directory / f"{len(part)}.answers.jsonl", line_key)
        start = time.perf_counter()
        answer_questions(
            "base", engine, part, log, make_expert("oracle"), "expert", Decoding(1.0, 64, 0)
        )
        log.finish()
        found["answers"] = time.perf_counter() - start
        asked = [Asked(q, answer) for q, answer in zip(part, read_answers(log.path), strict=True)]
        for name, protocol in protocols.items():
            start = time.perf_counter()
            assert len(protocol.confidences(engine, asked)) == len(part)
            found[name] = time.perf_counter() - start
    return found


def test_the_batched_engine_is_at_least_five_times_faster(questions, tmp_path):
    times = {}
    for name, engine in (
        ("batched", open_engine(str(POCKET), tmp_path)),
        ("one", open_engine({"kind": "transformers", "model": str(POCKET)}, tmp_path)),
    ):
        (tmp_path / name).mkdir()
        with engine:
            times[name] = seconds(
                engine if name == "batched" else OneAtATime(engine), questions, tmp_path / name
            )
    for step in times["one"]:
        print(
            f"{step}: batched {times['batched'][step]:.2f} s, "
            f"one at a time {times['one'][step]:.2f} s"
        )
    ratio = sum(times["one"].values()) / sum(times["batched"].values())
    print(f"{QUESTIONS} questions, k = {SAMPLES}: {ratio:.1f} x faster")
    assert ratio >= 5
