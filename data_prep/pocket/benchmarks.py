"""Pocket Object HalBench, MMHal-Bench and POPE, in the publishers' file layouts,
from the generator's truth.

    objhal   descriptions of scenes and galleries; an object is a coloured digit ("red
             3") or an emblem ("Oslo")
    mmhal    questions of the five datasets and by place; image content: the facts, reference:
             those asked for; rated by `roles.PocketExpert`
    pope     "True or false? A red 3 is at the top left.", one true and one false a picture. The
             false one has another digit or emblem: drawn evenly (random), emblems by frequency
             (popular), a look-alike (adversarial)

Digits are of the test pool. `python -m eval hallucination` reads the three directories.
"""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.pocket import corpus, datasets, emblems
from data_prep.pocket.data import png
from data_prep.pocket.datasets import COLOURS, DATASETS, PLACES, Thing
from reward_fns.files import write_bytes, write_json, write_text

SAMPLINGS = ("random", "popular", "adversarial")
_DESCRIBED = ("pocket-scene", "pocket-gallery")
_STREAM = 200
"""The generator's streams of the benchmarks; those of `data` are below."""


class Picture(NamedTuple):
    """One drawn image, encoded, with what it shows."""

    image_id: str
    png: bytes
    things: tuple[Thing, ...]


def write(out: Path, seed: int, n: int) -> None:
    """Write `objhal`, `mmhal` and `pope` of n images each into `out`.

    Raises:
        ValueError: fewer images than kinds of questions.
    """
    if n < len(DATASETS) + 1:
        raise ValueError(f"-n {n}: at least {len(DATASETS) + 1} images are needed")
    _write_objhal(out / "objhal", seed, n)
    _write_mmhal(out / "mmhal", seed, n)
    _write_pope(out / "pope", seed, n)


def pictures(name: str, n: int, stream: tuple[int, ...]) -> list[Picture]:
    """n images of a dataset, a function of the arguments alone."""
    drawn = datasets.draw_batch(name, "test", n, np.random.default_rng(stream))
    return [
        Picture(f"{name}-{stream[-1]}-{index:05d}", png(image), things)
        for index, (image, things) in enumerate(zip(drawn.images, drawn.things, strict=True))
    ]


def object_name(thing: Thing) -> str:
    """What an object is called: "red 3", "Oslo"."""
    if thing.emblem:
        return emblems.NAMES[thing.value]
    return f"{COLOURS[thing.colour]} {thing.value}"


def _described(n: int, seed: int, stream: int) -> list[Picture]:
    """Scenes and galleries in turn."""
    parts = [
        pictures(name, -(-n // 2), (seed, _STREAM, k, stream)) for k, name in enumerate(_DESCRIBED)
    ]
    return [picture for pair in zip(*parts, strict=True) for picture in pair][:n]


def _write_objhal(out: Path, seed: int, n: int) -> None:
    rng = np.random.default_rng((seed, _STREAM, 10))
    found = _described(n, seed, 0)
    lines = [
        {
            "org_idx": index,
            "image_id": picture.image_id,
            "question": str(rng.choice(DATASETS[_DESCRIBED[0]].questions)),
            "image": base64.b64encode(picture.png).decode(),
        }
        for index, picture in enumerate(found)
    ]
    write_text(out / "questions.jsonl", _json_lines(lines))
    truth = {picture.image_id: sorted(map(object_name, picture.things)) for picture in found}
    write_json(out / "truth.json", truth)
    digits = [f"{colour} {digit}" for colour in COLOURS for digit in range(10)]
    write_json(
        out / "vocabulary.json", {"objects": {name: [] for name in (*digits, *emblems.NAMES)}}
    )


def _write_mmhal(out: Path, seed: int, n: int) -> None:
    rng = np.random.default_rng((seed, _STREAM, 11))
    kinds = (*DATASETS, "place")
    records: list[dict[str, Any]] = []
    for k, kind in enumerate(kinds):
        count = n // len(kinds) + (k < n % len(kinds))
        name = "pocket-scene" if kind == "place" else kind
        for picture in pictures(name, count, (seed, _STREAM, k, 1)):
            image_id = f"{kind}-{len(records):05d}"
            write_bytes(out / "images" / f"{image_id}.png", picture.png)
            records.append(_mmhal_record(kind, image_id, picture, DATASETS[name], rng))
    write_json(out / "template.json", records)


def _mmhal_record(
    kind: str,
    image_id: str,
    picture: Picture,
    dataset: datasets.Dataset,
    rng: np.random.Generator,
) -> dict[str, Any]:
    things = picture.things
    facts = datasets.sentences(things, dataset.task)
    question = str(rng.choice(dataset.questions))
    if kind == "place":
        things = (things[int(rng.integers(len(things)))],)
        question = corpus.place_question(PLACES[things[0].place])
    return {
        "question_type": kind.removeprefix("pocket-"),
        "question_topic": "pocket",
        "image_id": image_id,
        "image_src": "",
        "image_content": [fact.removesuffix(".") for fact in facts],
        "question": question,
        "gt_answer": " ".join(datasets.sentences(things, dataset.task)),
        "model_answer": "",
    }


def _write_pope(out: Path, seed: int, n: int) -> None:
    found = _described(n, seed, 2)
    for picture in found:
        write_bytes(out / "images" / f"{picture.image_id}.png", picture.png)
    for k, sampling in enumerate(SAMPLINGS):
        rng = np.random.default_rng((seed, _STREAM, 12, k))
        lines: list[dict[str, Any]] = []
        for picture in found:
            thing = picture.things[int(rng.integers(len(picture.things)))]
            false = thing._replace(value=_absent(thing, sampling, rng))
            for shown, label in ((thing, "yes"), (false, "no")):
                lines.append(
                    {
                        "question_id": len(lines) + 1,
                        "image": f"{picture.image_id}.png",
                        "text": f"True or false? {datasets.sentence(shown, 'Detail')}",
                        "label": label,
                    }
                )
        write_text(out / f"pocket_pope_{sampling}.json", _json_lines(lines))


def _absent(thing: Thing, sampling: str, rng: np.random.Generator) -> int:
    """Another digit or emblem in the place of this one."""
    names: int = len(emblems.NAMES) if thing.emblem else 10
    if sampling == "adversarial":
        alike: npt.ArrayLike = (
            emblems.lookalikes(thing.value) if thing.emblem else corpus.SIMILAR_DIGITS[thing.value]
        )
        return int(rng.choice(alike))
    weights = np.ones(names)
    if sampling == "popular" and thing.emblem:
        weights = np.asarray(emblems.probabilities(emblems.BASE_EXPONENT), dtype=np.float64).copy()
    weights[thing.value] = 0
    return int(rng.choice(names, p=weights / weights.sum()))


def _json_lines(lines: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
