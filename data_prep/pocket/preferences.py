"""Pocket HA-DPO and POVID: preferences in the publishers' layouts, from the generator's truth.

The better answer is the truth, the worse one the same with one thing altered as the base takes it
for another (`corpus.altered`). HA-DPO's are asked in `pope_data.json`, which holds its questions;
POVID's are descriptions. Half of the questions ask for the claim format. Digits are of the training
pool. RLAIF-V's preferences are a model's own answers by its own votes: on the pocket stage one's
pairs, `python -m data_prep.preferences pairs`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.pocket import corpus, datasets
from data_prep.pocket.data import png
from data_prep.pocket.datasets import DATASETS
from reward_fns.claims import claim_prompt
from reward_fns.files import write_bytes, write_json

_STREAM = 300
"""The generator's streams of these files; `benchmarks` has its own."""
_DESCRIBED = ("pocket-scene", "pocket-gallery")


def write(out: Path, seed: int, n: int) -> None:
    """Write `ha_dpo` and `povid` of about n preferences each into `out`."""
    asked = [
        {"image_id": number, "question": question, "answer": "", "correct": False}
        | {"chosen": chosen, "reject": worse}
        for number, question, chosen, worse in _pairs(
            out / "ha_dpo" / "VG_100K", tuple(DATASETS), seed, n, 0
        )
    ]
    write_json(out / "ha_dpo" / "pope_data.json", asked)
    described = [
        {"id": f"pocket-{number}", "image": f"images/{number}.png"}
        | {
            "conversations": _conversation(question, chosen),
            "rejected_conversations": _conversation(question, worse),
        }
        for number, question, chosen, worse in _pairs(
            out / "povid" / "images", _DESCRIBED, seed, n, 1
        )
    ]
    write_json(out / "povid" / "povid.json", described)


def _conversation(question: str, answer: str) -> list[dict[str, Any]]:
    return [
        {"from": "human", "value": f"<image>\n{question}"},
        {"from": "gpt", "value": answer},
    ]


def _pairs(
    images: Path, names: tuple[str, ...], seed: int, n: int, stream: int
) -> list[tuple[int, str, str, str]]:
    """(number, question, better, worse) of drawn images, which are written as NUMBER.png."""
    found: list[tuple[int, str, str, str]] = []
    for k, name in enumerate(names):
        rng = np.random.default_rng((seed, _STREAM, stream, k))
        drawn = datasets.draw_batch(name, "train", -(-n // len(names)), rng)
        task = DATASETS[name].task
        for image, things in zip(drawn.images, drawn.things, strict=True):
            question = str(rng.choice(DATASETS[name].questions))
            worse = corpus.altered(things, task, rng)
            answers = [corpus.plain_answer(each, task) for each in (things, worse)]
            if rng.random() < 0.5:
                question = claim_prompt(question)
                answers = _in_claims(things, worse, task, rng)
            write_bytes(images / f"{len(found)}.png", png(image))
            found.append((len(found), question, answers[0], answers[1]))
    return found


def _in_claims(
    things: tuple[datasets.Thing, ...],
    worse: tuple[datasets.Thing, ...],
    task: str,
    rng: np.random.Generator,
) -> list[str]:
    """Both answers with the same tags and confidence: these are not preferred either way."""
    state = rng.bit_generator.state
    better = corpus.claims_answer(things, task, rng)
    after = rng.bit_generator.state
    rng.bit_generator.state = state
    other = corpus.claims_answer(worse, task, rng)
    rng.bit_generator.state = after
    return [better, other]
