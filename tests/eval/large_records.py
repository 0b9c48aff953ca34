"""Records of the size of a real evaluation: six models, seven protocols, five datasets,
one-decimal confidences.

For looking at the report and for the tests of its page; nothing is asked of a model.
To make such a report:

    python tests/eval/large_records.py --out RECORDS --answers 1000
    python -m eval report --records RECORDS --out REPORT

A question has a chance of being answered rightly, a model adds its skill to it, and states the
chance with its own bias and noise, rounded to one decimal as language models do.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.records import (
    Answer,
    Confidence,
    answers_path,
    records_path,
    settings_path,
    write_records,
)
from reward_fns.files import write_json

DATASETS = ("pocket-digit", "pocket-blur", "pocket-emblem", "pocket-scene", "pocket-gallery")
PROTOCOLS = ("dp", "sc", "pcr", "verbal", "verbal_asked", "vcap", "tags")
SUBSETS = ("entailment", "contradiction", "neutral")
_UNREADABLE = 0.02


@dataclass(frozen=True)
class Behaviour:
    """How a synthetic model answers.

    Attributes:
        skill: added to a question's chance of being answered rightly.
        bias: added to the stated confidence: how far it is over-confident.
        noise: standard deviation of the stated confidence around what it should be.
    """

    skill: float
    bias: float
    noise: float


MODELS = {
    "base": Behaviour(0.0, 0.27, 0.25),
    "sft": Behaviour(0.02, 0.12, 0.18),
    "r_tuning": Behaviour(0.01, 0.18, 0.2),
    "rl": Behaviour(0.05, -0.07, 0.12),
    "rl_segments": Behaviour(0.05, 0.02, 0.08),
    "rl_on_base": Behaviour(0.03, 0.15, 0.16),
}
_PROTOCOL_BIAS = dict(zip(PROTOCOLS, (0.05, -0.1, 0.02, 0.0, 0.04, 0.08, -0.03), strict=True))


def write_large_records(directory: Path, answers: int = 1000, seed: int = 0) -> None:
    """Write answers, confidences and settings of every model and protocol.

    Args:
        directory: of the record files.
        answers: of each model to the questions of each dataset, at least 1.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    chances = {dataset: rng.uniform(0.15, 0.85, answers) for dataset in DATASETS}
    luck = {dataset: rng.uniform(size=answers) for dataset in DATASETS}
    for model, behaviour in MODELS.items():
        path = answers_path(directory, model)
        written, right_with = [], []
        for dataset in DATASETS:
            for i in range(answers):
                chance = float(np.clip(chances[dataset][i] + behaviour.skill, 0, 1))
                written.append(_answer(model, dataset, i, luck[dataset][i] < chance))
                right_with.append(chance)
        write_records(path, written)
        write_json(settings_path(path), {"seed": seed, "model_sha256": f"{model:0<64}"})
        for protocol in PROTOCOLS:
            stated = _stated(np.array(right_with), behaviour, protocol, rng)
            confidences = [
                Confidence(question_id=answer.question_id, sample=0, confidence=value)
                for answer, value in zip(written, stated, strict=True)
            ]
            write_records(records_path(directory, model, protocol), confidences)


def _answer(model: str, dataset: str, i: int, right: bool) -> Answer:
    claims = [
        {"text": f"The mark at the {side} is a {what}.", "sure": (i + place) % 3 != 0}
        for place, (side, what) in enumerate((("left", "seven"), ("right", "star")))
    ]
    return Answer(
        model=model,
        dataset=dataset,
        task="Detail" if dataset in ("pocket-scene", "pocket-gallery") else "QA",
        question_id=f"{dataset}-{i}",
        question=f"What does picture {i} show at its left and at its right?",
        image_id=f"{dataset}-{i}",
        entity="",
        response=" ".join(claim["text"] for claim in claims),
        correct=float(right),
        well_formed=True,
        expert="oracle",
        claims=claims,
        claim_labels=[int(right), int(right or i % 2 == 0)],
        subset=SUBSETS[i % len(SUBSETS)],
        vote_margin=(i % 20) / 20,
    )


def _stated(
    chances: np.ndarray, behaviour: Behaviour, protocol: str, rng: np.random.Generator
) -> list[float | None]:
    """One-decimal confidences; None for the few that could not be read."""
    centre = chances + behaviour.bias + _PROTOCOL_BIAS[protocol]
    values = np.clip(centre + rng.normal(0, behaviour.noise, chances.size), 0, 1).round(1)
    readable = rng.uniform(size=chances.size) >= _UNREADABLE
    return [float(value) if kept else None for value, kept in zip(values, readable, strict=True)]


def main() -> None:
    """Write the records that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--answers", type=int, default=1000, help="of a model and dataset")
    options = parser.parse_args()
    write_large_records(options.out, options.answers)


if __name__ == "__main__":
    main()
