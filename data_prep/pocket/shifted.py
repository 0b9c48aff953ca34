"""Test questions unlike those that a model is trained and chosen on: one change a set.

    degraded  the law of each image's strength leans to the strong end
    printed   digits in a typeface; the base has seen handwriting alone
    rare      emblems asked for the more, the more seldom the base saw them
    wording   questions that neither the base nor any training was asked

Images, truth and rows are otherwise those of `data`'s test file, digits of the test pool.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.pocket import data, draw, emblems
from data_prep.pocket.datasets import DATASETS, Dataset, draw_things, even_shares
from data_prep.verl_rows import question_writer

_STREAM = 400
"""The generator's streams of these sets; those of `data` and `benchmarks` are below."""


def _unchanged(dataset: Dataset) -> Dataset:
    return dataset


def _stronger(dataset: Dataset) -> Dataset:
    a, b = dataset.strength
    return replace(dataset, strength=(a + 1, b))


def _asked_otherwise(dataset: Dataset) -> Dataset:
    if dataset.task == "Detail":
        return replace(dataset, questions=("Tell me all that you see.", "What things are here?"))
    if dataset.emblem_share:
        return replace(dataset, questions=("Name the city.", "Which town does this stand for?"))
    return replace(dataset, questions=("Name the digit.", "Read the number."))


@dataclass(frozen=True)
class Shift:
    """What a set changes.

    Attributes:
        dataset: a dataset as it is in this set.
        digits: where digits come from; default: the test pool.
        exponent: of the law by which emblems are drawn, from the most to the least frequent.
    """

    dataset: Callable[[Dataset], Dataset] = _unchanged
    digits: Callable[[], draw.Pool] = lambda: draw.pool("test")
    exponent: float = emblems.QUESTION_EXPONENT


SHIFTS = {
    "degraded": Shift(dataset=_stronger),
    "printed": Shift(digits=draw.printed),
    "rare": Shift(exponent=-emblems.BASE_EXPONENT),
    "wording": Shift(dataset=_asked_otherwise),
}


def rows(shift: str, name: str, n: int, seed: int) -> list[dict[str, Any]]:
    """n questions of one dataset, shifted, in verl's RL schema."""
    how = SHIFTS[shift]
    stream = (seed, _STREAM + list(SHIFTS).index(shift), list(DATASETS).index(name))
    rng = np.random.default_rng(stream)
    dataset = how.dataset(DATASETS[name])
    drawn = draw_things(dataset, how.digits(), n, rng, how.exponent)
    return data.rows_of(drawn, name, dataset, f"{name}-{shift}-{seed}", "test", rng)


def write(out: Path, seed: int, n: int) -> None:
    """Write ``degraded.parquet`` and so on into ``out``, n questions each.

    The questions are spread evenly over the datasets (`datasets.even_shares`).

    Raises:
        ValueError: n below the number of datasets.
    """
    if n < len(DATASETS):
        raise ValueError(f"-n {n}: at least {len(DATASETS)} questions are needed")
    out.mkdir(parents=True, exist_ok=True)
    for shift in SHIFTS:
        with question_writer(out / f"{shift}.parquet", "bytes") as rows_out:
            for name, share in even_shares(n).items():
                for row in rows(shift, name, share, seed):
                    rows_out.write(row)
