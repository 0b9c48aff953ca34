"""One replica of a model a GPU.

The choice; that a replica answers as vLLM does is held by test_engine_ray.
"""

from pathlib import Path

import pytest
import torch

from data_prep.engines import Completion, open_engine
from eval.__main__ import main
from eval.asking import answers, make_records
from eval.asking.replicas import BATCH_OF_REPLICAS, batch_of, with_replicas

POCKET = str(Path(__file__).parents[3] / "data_prep" / "pocket" / "base_model")


@pytest.fixture
def gpus(monkeypatch):
    return lambda n: monkeypatch.setattr(torch.cuda, "device_count", lambda: n)


@pytest.mark.parametrize("config", ["M", {"model": "M"}, {"kind": "vllm", "model": "M"}])
@pytest.mark.parametrize(
    ("visible", "replicas", "concurrency"),
    [(0, None, 1), (1, None, 1), (4, None, 4), (4, 1, 1), (4, 2, 2), (0, 2, 2)],
)
def test_one_replica_a_visible_gpu_unless_told(gpus, config, visible, replicas, concurrency):
    gpus(visible)
    ray = {"kind": "ray", "model": "M", "concurrency": concurrency}
    assert with_replicas(config, replicas) == (config if concurrency == 1 else ray)


@pytest.mark.parametrize("kind", ["openai", "transformers", "ray", "my_package.engines:Engine"])
def test_other_engines_keep_their_own_options(gpus, kind):
    gpus(8)
    config = {"kind": kind, "model": "M", "concurrency": 3}
    assert with_replicas(config) is config and with_replicas(config, 2) is config


def test_the_engine_takes_the_configuration_and_is_the_same_model(gpus, tmp_path):
    gpus(2)
    several = open_engine(with_replicas(POCKET), tmp_path)
    assert type(several).__name__ == "RayEngine"
    assert several.fingerprint == open_engine(with_replicas(POCKET, 1), tmp_path).fingerprint


def test_replicas_get_large_batches(gpus):
    gpus(2)
    assert batch_of("M") == answers.BATCH < BATCH_OF_REPLICAS == batch_of(with_replicas("M"))


class Engine:
    """Notes how many requests each call has."""

    fingerprint = "m"
    calls: list[int] = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def generate(self, requests, sampling):
        self.calls.append(len(requests))
        reply = "1. The digit is 7. I'm sure.\nConfidence: 0.7"
        return [[Completion(reply)] * sampling.n for _ in requests]


@pytest.fixture
def calibration(question_rows, write_questions, tmp_path, monkeypatch):
    opened = []

    def open_one(config, cache):
        opened.append(config)
        return Engine()

    monkeypatch.setattr(make_records, "open_engine", open_one)
    monkeypatch.setattr(answers, "BATCH", 2)
    monkeypatch.setattr(Engine, "calls", [])
    questions = write_questions(question_rows(4))

    def command(name, *options):
        files = ["--questions", str(questions), "--out", str(tmp_path / name)]
        protocols = ["--protocols", "verbal", "verbal_asked"]
        assert main(["calibration", "--model", "base=M", *files, *protocols, *options]) == 0
        return opened[-1], list(Engine.calls)

    return command


def test_calibration_asks_replicas_for_all_at_once_and_one_in_small_batches(gpus, calibration):
    gpus(3)
    opened, calls = calibration("a")
    assert opened == {"kind": "ray", "model": "M", "concurrency": 3}
    assert calls == [4, 4]  # the answers, then verbal_asked
    opened, calls = calibration("b", "--replicas", "1")
    assert opened == "M" and calls[2:] == [2, 2, 2, 2]


def test_records_of_one_replica_are_taken_up_by_several(gpus, calibration):
    gpus(0)
    _, before = calibration("a")
    gpus(2)
    opened, after = calibration("a")
    assert opened["kind"] == "ray" and after == before  # nothing is asked again
