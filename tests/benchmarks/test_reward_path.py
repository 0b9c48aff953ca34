"""What one response costs in the reward path; run with `python -m pytest tests/benchmarks`.

The share of a GRPO step is (rollouts a step) x (time of one compute_score) / (time of a step). The
expert is instant, so the number is the cost of this project's own code. The minimum is compared:
what else runs only adds to it.
"""

import asyncio
import json
import time

import pytest

from reward_fns.claims import Claim, parse_response, render_response
from reward_fns.compute_score import compute_score
from reward_fns.difficulty import coefficients
from reward_fns.lenient import read_leniently
from reward_fns.scoring import score

pytest.importorskip("pytest_benchmark")

FACTS = [f"A red {i} is in row {i} of the picture." for i in range(8)]
RESPONSE = render_response([Claim(fact, i % 3 > 0) for i, fact in enumerate(FACTS)], 0.75)
TRUTH = json.dumps({"task": "Detail", "facts": FACTS[:6]})
INFO = {"question": "Describe the picture."}
ROLLOUTS_A_STEP = 128


@pytest.mark.parametrize("rule", ["paper", "proper"])
def test_parse_and_score_of_one_response_take_under_a_millisecond(benchmark, rule):
    weights = coefficients("COCO")

    def parse_and_score():
        return score(parse_response(RESPONSE), [1] * 6 + [0] * 2, 0.75, weights, rule)

    assert benchmark(parse_and_score).total > 0
    assert benchmark.stats["min"] < 1e-3


def test_compute_score_of_a_step_with_an_instant_expert_takes_under_a_hundredth_of_a_short_step(
    benchmark,
):
    async def step():
        return await asyncio.gather(
            *(
                compute_score("COCO", RESPONSE, TRUTH, INFO, expert="oracle")
                for _ in range(ROLLOUTS_A_STEP)
            )
        )

    rewards = benchmark(lambda: asyncio.run(step()))
    assert rewards[0]["acc"] == 6 / 8
    # The shortest step seen, on two CPU cores with the pocket model, takes 2.5 s.
    assert benchmark.stats["min"] < 0.01 * 2.5


HOSTILE = {
    "bullets": "-\n",
    "numbered bullets": "1. ",
    "many claims": "1. a. I'm sure.\n",
    "empty lines": "\n",
    "short lines": "a\n",
    "tag beginnings": "I'm ",
    "tags": "I'm not sure ",
    "almost tags": "I am not sur ",
    "digits": "7",
    "spaces": " ",
    "stars": "*",
    "underscores": "_ ",
    "brackets": "(",
    "quotation marks": '"',
    "confidence headings": "Confidence: ",
    "confidence lines": "Confidence: .1\n",
    "almost headings": "overall confidence* ",
    "heading words": "my overall ",
    "boxes": "\\boxed{ ",
    "percent signs": "1 % ",
}


@pytest.mark.parametrize("family", HOSTILE)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("1. a", ""),
        ("1. a ", "\nI'm sure.\nConfidence: 0.5"),
        ("Confidence: ", ""),
        ("1. a. I'm sure.\n", ""),
    ],
)
def test_a_megabyte_of_hostile_text_is_read_within_a_second(family, before, after):
    unit = HOSTILE[family]
    text = before + unit * (1_000_000 // len(unit)) + after
    start = time.process_time()
    parse_response(text)
    assert time.process_time() - start < 1
    start = time.process_time()
    read_leniently(text)
    assert time.process_time() - start < 1
