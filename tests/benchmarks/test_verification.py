"""Self-verification: one scoring pass against ten generated votes, paired in one run.

    pytest tests/benchmarks/test_verification.py -s

"Independent" asks each candidate ten times with a request of its own (the paper's way), "n=10" once
for ten replies, which share the prompt's keys and values (prefix caching).
Every round asks all three of the same candidates, in turn.
"""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import proposals

from data_prep.engines import Sampling, open_engine
from data_prep.steps.verify import VerifyConfig

MODEL = Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model"
ROUNDS, VOTES = 3, 10


def _tokens(engine, requests, sampling):
    """Tokens that are generated, the end of sequence included."""
    answers = engine.generate(
        requests, replace(sampling, top_logprobs=max(1, sampling.top_logprobs))
    )
    return sum(len(completion.tokens) for completions in answers for completion in completions)


def test_marginal_verification_costs_a_tenth(tmp_path):
    requests = proposals.requests(60)
    independent = [
        replace(request, seed=request.seed + j) for request in requests for j in range(VOTES)
    ]
    once = replace(VerifyConfig("sampled").sampling(), n=1)
    ways: dict[str, tuple[list, Sampling]] = {
        "marginal": (requests, VerifyConfig("marginal").sampling()),
        "n=10": (requests, VerifyConfig("sampled", votes=VOTES).sampling()),
        "independent": (independent, once),
    }
    with open_engine(str(MODEL), tmp_path) as engine:
        tokens = {name: _tokens(engine, *way) for name, way in ways.items()}  # warms up, too
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                engine.generate(*way)
                seconds[name].append(time.perf_counter() - start)
    print(f"\n{len(requests)} candidates")
    for name in ways:
        ratio = median(b / a for a, b in zip(seconds["marginal"], seconds[name], strict=True))
        per = 1000 * median(seconds[name]) / len(requests)
        times = tokens[name] / tokens["marginal"]
        print(
            f"{name:12} {tokens[name]:6} tokens ({times:.1f} x)  "
            f"{per:.1f} ms a candidate ({ratio:.1f} x)"
        )
    assert (
        tokens["independent"] >= 8 * tokens["marginal"] and tokens["n=10"] >= 8 * tokens["marginal"]
    )
    assert (
        median(b / a for a, b in zip(seconds["marginal"], seconds["independent"], strict=True)) >= 4
    )
