"""What batching is worth: vLLM's engine against one forward pass at a time with transformers,
and n answers at once.

    python -m pytest tests/benchmarks/test_engines.py -s

Ratios, paired in one run: the same requests of the pocket model, alternating,
the best of three of each.
"""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.engines import GenerationRequest, Sampling, open_engine

POCKET = str(Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model")


def requests(n):
    made = []
    for i in range(n):
        buffer = io.BytesIO()
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)).save(
            buffer, "PNG"
        )
        parts = [{"type": "image"}, {"type": "text", "text": "Describe the picture."}]
        made.append(
            GenerationRequest([{"role": "user", "content": parts}], 100 * i, buffer.getvalue())
        )
    return made


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """vLLM loads first: it sets the number of threads for both."""
    one_by_one = {"kind": "transformers", "model": POCKET, "batch_size": 1}
    batched = open_engine(POCKET, tmp_path_factory.mktemp("a"))
    batched.generate(requests(2), Sampling(max_tokens=2, top_logprobs=20))
    alone = open_engine(one_by_one, tmp_path_factory.mktemp("b"))
    alone.generate(requests(2), Sampling(max_tokens=2, top_logprobs=20))
    with batched, alone:
        yield batched, alone


def best_of_three(*works):
    """Seconds of each, alternating."""
    seconds = [[] for _ in works]
    for _ in range(3):
        for work, taken in zip(works, seconds, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


@pytest.mark.parametrize(
    ("name", "n", "sampling"),
    [
        ("ten answers of 64 tokens", 20, Sampling(max_tokens=64, n=10)),
        ("one answer of 64 tokens", 100, Sampling(max_tokens=64)),
        ("first token, 20 log-probabilities", 100, Sampling(0, 1, 1, 20)),
    ],
)
def test_batched_against_one_at_a_time(engines, name, n, sampling):
    batched, alone = engines
    asked = requests(n)
    fast, slow = best_of_three(
        lambda: batched.generate(asked, sampling), lambda: alone.generate(asked, sampling)
    )
    answers = n * sampling.n
    print(
        f"\n{name}: vLLM {answers / fast:.0f} answers/s, "
        f"one at a time {answers / slow:.0f}, ratio {slow / fast:.1f}"
    )
    assert slow > fast


def test_ten_answers_at_once_against_ten_requests(engines):
    batched, _ = engines
    asked = requests(50)
    apart = [GenerationRequest(r.messages, r.seed + j, r.image) for r in asked for j in range(10)]
    once, ten = best_of_three(
        lambda: batched.generate(asked, Sampling(max_tokens=64, n=10)),
        lambda: batched.generate(apart, Sampling(max_tokens=64)),
    )
    print(
        f"\nn=10 {500 / once:.0f} answers/s, ten requests {500 / ten:.0f}, ratio {ten / once:.2f}"
    )
