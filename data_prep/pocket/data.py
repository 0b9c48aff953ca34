"""Writing the pocket datasets: RL train, test and SFT questions as parquet, and a manifest."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_prep.pocket import datasets, emblems
from data_prep.pocket.datasets import DATASETS, Dataset, Drawn, Thing
from data_prep.verl_rows import question_writer
from reward_fns import claims
from reward_fns.files import write_text

SPLITS = {"rl_train": "train", "test": "test", "sft_questions": "sft", "selection": "train"}
"""File -> pool of digits. The pools share no digit, and the generator's streams of the files are
apart. All digits are in a pool: selection has those of rl_train, in other pictures.
"""


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """An image (h, w, 3) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def ground_truth(things: tuple[Thing, ...], task: str) -> str:
    """The truth of an image as the oracle expert reads it."""
    return json.dumps({"task": task, "facts": list(datasets.sentences(things, task))})


def rows(name: str, file: str, n: int, seed: int) -> list[dict[str, Any]]:
    """n questions of one dataset in verl's RL schema, a function of the arguments alone."""
    part = SPLITS[file]
    stream = (seed, list(SPLITS).index(file), list(DATASETS).index(name))
    rng = np.random.default_rng(stream)
    drawn = datasets.draw_batch(name, part, n, rng)
    side = "selection" if file == "selection" else part
    return rows_of(drawn, name, DATASETS[name], f"{name}-{side}-{seed}", side, rng)


def rows_of(
    drawn: Drawn, name: str, dataset: Dataset, prefix: str, part: str, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The questions about drawn images, in verl's RL schema.

    Args:
        drawn: the images.
        name: of the dataset, the row's ``data_source``.
        dataset: whose wordings are drawn.
        prefix: of the questions' ids.
        part: "test", "selection", or a pool of questions to train on.
        rng: draws the wordings.
    """
    out = []
    for index, (image, things) in enumerate(zip(drawn.images, drawn.things, strict=True)):
        question = str(rng.choice(dataset.questions))
        named = [emblems.NAMES[thing.value] for thing in things if thing.emblem]
        identity = f"{prefix}-{index:05d}"
        out.append(
            {
                "data_source": name,
                "prompt": [
                    {"role": "user", "content": f"<image>\n{claims.claim_prompt(question)}"}
                ],
                "images": [{"bytes": png(image)}],
                "ability": dataset.task,
                "reward_model": {
                    "style": "rule",
                    "ground_truth": ground_truth(things, dataset.task),
                },
                "extra_info": {
                    "split": part if part in ("test", "selection") else "train",
                    "index": index,
                    "question_id": identity,
                    "question": question,
                    "task": dataset.task,
                    "image_id": f"{identity}.png",
                    "entity": named[0] if named else "",
                },
            }
        )
    return out


def write(out: Path, seed: int, counts: dict[str, int]) -> dict[str, Any]:
    """Write all files into `out` and return the manifest; `counts` maps each file of SPLITS to
    its number of questions.

    The questions are spread evenly over the datasets (`datasets.even_shares`) and shuffled.

    Raises:
        ValueError: a count below the number of datasets.
    """
    small = [file for file, n in counts.items() if n < len(DATASETS)]
    if small:
        raise ValueError(
            f"{', '.join(small)}: at least {len(DATASETS)} questions are needed, "
            "one for each dataset"
        )
    out.mkdir(parents=True, exist_ok=True)
    manifest_path = out / "manifest.json"
    manifest_path.unlink(missing_ok=True)
    for index, (file, total) in enumerate(counts.items()):
        content = []
        for name, n in datasets.even_shares(total).items():
            content += rows(name, file, n, seed)
        order = np.random.default_rng((seed, 100 + index)).permutation(len(content))
        with question_writer(out / f"{file}.parquet", "bytes") as rows_out:
            for i in order:
                rows_out.write(content[i])
    files = [f"{file}.parquet" for file in counts]
    manifest = {
        "seed": seed,
        "questions": counts,
        "datasets": list(DATASETS),
        "sha256": {file: hashlib.sha256((out / file).read_bytes()).hexdigest() for file in files},
    }
    write_text(manifest_path, json.dumps(manifest, indent=2) + "\n")
    return manifest
