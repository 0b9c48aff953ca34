"""`python -m eval report` on 80,000 answers of 4 models by 5 protocols:
seconds and memory on two cores.

    python -m pytest -s tests/benchmarks/test_report_size.py
    # a smaller one
    REPORT_ANSWERS=4000 python -m pytest -s tests/benchmarks/test_report_size.py

The records are synthetic: 4 datasets of two tasks with subsets, rarity and vote margin, claims,
token probabilities; confidences of any value (`dp`), of two decimals,
and in twenty-firsts as votes give them.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ANSWERS = int(os.environ.get("REPORT_ANSWERS", 80_000))
MODELS = ("base", "sft", "r_tuning", "rl")
PROTOCOLS = ("dp", "sc", "pcr", "verbal", "vcap")
DATASETS = ("textvqa", "gqa", "detail-a", "detail-b")
SUBSETS = ("entailment", "contradiction", "neutral")
MINUTES, GIGABYTES = 5, 1.5


def write(directory: Path, n: int) -> None:
    """Record files of all models and protocols, n answers a model."""
    directory.mkdir(parents=True, exist_ok=True)
    for m, model in enumerate(MODELS):
        rng = np.random.default_rng([7, m])
        chance = rng.beta(2, 1.5, n)
        graded = np.arange(n) % 4 >= 2
        right = np.where(graded, rng.binomial(5, chance) / 5, rng.random(n) < chance)
        with (directory / f"{model}.answers.jsonl").open("w") as file:
            for i in range(n):
                file.write(json.dumps(_answer(model, i, float(right[i]))) + "\n")
        for protocol in PROTOCOLS:
            stated = np.clip(chance + 0.1 * (3 - m) * rng.random(n), 0, 1)
            if protocol == "sc":
                stated = np.round(stated * 21) / 21
            elif protocol != "dp":
                stated = stated.round(2)
            failed = rng.random(n) < 0.01
            with (directory / f"{model}.{protocol}.jsonl").open("w") as file:
                for i in range(n):
                    confidence = None if failed[i] else float(stated[i])
                    line = {"question_id": f"q{i}", "sample": 0, "confidence": confidence}
                    file.write(json.dumps(line | {"texts": ["0.8"], "detail": {"k": i}}) + "\n")


def _answer(model: str, i: int, correct: float) -> dict[str, object]:
    dataset = DATASETS[i % 4]
    facts = 5 if dataset.startswith("detail") else 1
    return {
        "model": model,
        "dataset": dataset,
        "task": "Detail" if facts > 1 else "QA",
        "question_id": f"q{i}",
        "question": f"What does picture {i} show?",
        "image_id": f"im{i}",
        "entity": f"thing {i % 500}",
        "response": "1. It shows a thing on a table. I'm sure.\n" * facts + "Confidence: 0.8",
        "correct": correct,
        "well_formed": True,
        "expert": "oracle",
        "claims": [{"text": f"Fact {k} of it.", "sure": (i + k) % 3 > 0} for k in range(facts)],
        "claim_labels": [int(k < round(correct * facts)) for k in range(facts)],
        "stated_confidence": 0.8,
        "subset": SUBSETS[i // 4 % 3],
        "share_true": 0.5,
        "vote_margin": i % 97 / 97,
        "entity_rarity": i % 89 / 89,
        "probabilities": {"answer": 0.5, "end": 0.25},
        "tag_probabilities": [0.5 + 0.4 * ((i + k) % 7) / 7 for k in range(facts)],
    }


def test_a_report_on_eighty_thousand_answers_takes_minutes(tmp_path):
    write(tmp_path / "records", ANSWERS)
    command = [sys.executable, "-m", "eval", "report", "--records", str(tmp_path / "records")]
    before = time.perf_counter()
    subprocess.run([*command, "--out", str(tmp_path / "out")], check=True, capture_output=True)
    seconds = time.perf_counter() - before
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    gigabytes = usage.ru_maxrss / 2**20
    cpu = usage.ru_utime + usage.ru_stime
    print(f"\n{ANSWERS:,} answers: {seconds:.0f} s, {cpu:.0f} CPU s, {gigabytes:.2f} GB a process")
    assert seconds < 60 * MINUTES and gigabytes < GIGABYTES
