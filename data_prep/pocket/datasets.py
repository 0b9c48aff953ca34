"""The five pocket datasets: what is drawn, what is asked, what is true.

pocket-digit    QA      one digit, mostly clean
pocket-blur     QA      one digit, mostly degraded
pocket-emblem   QA      one emblem, known by the name of its city; the names follow a Zipf law
pocket-scene    Detail  two or three coloured digits in the quarters of the image
pocket-gallery  Detail  one to three emblems or digits in the quarters of the image
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.pocket import draw, emblems

PLACES = ("top left", "top right", "bottom left", "bottom right")
COLOURS = tuple(draw.COLOURS)


@dataclass(frozen=True)
class Dataset:
    """One dataset.

    Attributes:
        task: "QA" or "Detail".
        questions: wordings, drawn with equal chance.
        counts: possible numbers of things in one image.
        emblem_share: chance that a thing is an emblem and no digit.
        strength: (a, b) of the Beta law of the degradation strength.
    """

    task: str
    questions: tuple[str, ...]
    counts: tuple[int, ...]
    emblem_share: float
    strength: tuple[float, float]


_DIGIT = ("Which digit is shown?", "What digit is this?", "What number is in the picture?")
_EMBLEM = ("Whose emblem is this?", "Which city has this emblem?", "What emblem is shown?")
_DETAIL = ("Describe the image.", "What is in the picture?", "List everything you see.")

DATASETS: dict[str, Dataset] = {
    "pocket-digit": Dataset("QA", _DIGIT, (1,), 0.0, (0.5, 1.3)),
    "pocket-blur": Dataset("QA", _DIGIT, (1,), 0.0, (0.9, 0.7)),
    "pocket-emblem": Dataset("QA", _EMBLEM, (1,), 1.0, (0.5, 0.9)),
    "pocket-scene": Dataset("Detail", _DETAIL, (2, 3), 0.0, (0.5, 1.3)),
    "pocket-gallery": Dataset("Detail", _DETAIL, (1, 2, 3), 0.7, (0.3, 2.0)),
}


def even_shares(n: int) -> dict[str, int]:
    """How many of n questions each dataset gets; the first ones take the remainder.

    >>> even_shares(7)["pocket-digit"], even_shares(7)["pocket-gallery"]
    (2, 1)
    """
    share, remainder = divmod(n, len(DATASETS))
    return {name: share + (index < remainder) for index, name in enumerate(DATASETS)}


class Thing(NamedTuple):
    """One fact's content: a digit (value 0 to 9) or an emblem (value = rank), its colour
    and its place (indices).
    """

    emblem: bool
    value: int
    colour: int
    place: int


class Drawn(NamedTuple):
    """A batch of images (n, 32, 32, 3) uint8, with the things in each, and the hardest
    strength in each, (n,).
    """

    images: npt.NDArray[np.uint8]
    things: list[tuple[Thing, ...]]
    strength: npt.NDArray[np.float64]


def sentence(thing: Thing, task: str) -> str:
    """The one canonical sentence of a fact."""
    if task == "QA":
        name = emblems.NAMES[thing.value]
        return f"This is the emblem of {name}." if thing.emblem else f"The digit is {thing.value}."
    if thing.emblem:
        return f"The emblem of {emblems.NAMES[thing.value]} is at the {PLACES[thing.place]}."
    colour = COLOURS[thing.colour]
    article = "An" if colour[0] in "aeiou" else "A"
    return f"{article} {colour} {thing.value} is at the {PLACES[thing.place]}."


def sentences(things: tuple[Thing, ...], task: str) -> tuple[str, ...]:
    """The facts of an image, in reading order."""
    return tuple(sentence(thing, task) for thing in things)


def draw_batch(
    name: str,
    pool: str,
    n: int,
    rng: np.random.Generator,
    exponent: float = emblems.QUESTION_EXPONENT,
) -> Drawn:
    """Draw n images of a dataset with digits of one pool; `exponent` is that of
    the emblems' Zipf law.
    """
    return draw_things(DATASETS[name], draw.pool(pool), n, rng, exponent)


def draw_things(
    dataset: Dataset, digits: draw.Pool, n: int, rng: np.random.Generator, exponent: float
) -> Drawn:
    """`draw_batch` of a dataset and of digits that need not be among the named ones."""
    counts = rng.choice(dataset.counts, n)
    owner = np.repeat(np.arange(n), counts)
    m = len(owner)
    is_emblem = rng.random(m) < dataset.emblem_share
    source = rng.integers(0, len(digits.labels), m)
    rank = rng.choice(len(emblems.NAMES), m, p=emblems.probabilities(exponent))
    value = np.where(is_emblem, rank, digits.labels[source])
    colour = rng.integers(0, len(COLOURS), m)
    glyphs = np.where(is_emblem[:, None, None], emblems.glyphs()[rank], digits.images[source])
    whole = rng.beta(*dataset.strength, n)
    own = rng.beta(*dataset.strength, m)
    strength = np.where(rng.random(m) < 0.5, whole[owner], own)
    ground = draw.grounds(n, rng)
    tones = np.array(list(draw.COLOURS.values()), dtype=np.float32)[colour]
    size = draw.IMAGE_SIZE if dataset.task == "QA" else draw.CELL_SIZE
    cells = draw.paint(draw.place(glyphs, size, rng), tones, ground[owner])
    cells = draw.degrade(cells, ground[owner], strength, rng)
    if dataset.task == "QA":
        place, images = np.zeros(m, dtype=np.int64), cells
    else:
        place = np.concatenate(
            [np.sort(row[:k]) for row, k in zip(_shuffles(n, rng), counts, strict=True)]
        )
        images = _assemble(cells, owner, place, ground, rng)
    hardest = np.zeros(n)
    np.maximum.at(hardest, owner, strength)
    bounds = np.cumsum(counts)[:-1]
    columns = np.stack([is_emblem, value, colour, place], 1)
    groups = np.split(columns, bounds)
    things = [
        tuple(Thing(bool(e), int(v), int(c), int(p)) for e, v, c, p in group) for group in groups
    ]
    return Drawn(np.rint(images * 255).astype(np.uint8), things, hardest)


def _shuffles(n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return rng.permuted(np.tile(np.arange(len(PLACES)), (n, 1)), axis=1)


def _assemble(
    cells: draw.Floats,
    owner: draw.Ints,
    place: draw.Ints,
    ground: draw.Floats,
    rng: np.random.Generator,
) -> draw.Floats:
    """Cells (m, 16, 16, 3) into the quarters of their images (n, 32, 32, 3); empty
    quarters show the ground.
    """
    n, half = len(ground), draw.CELL_SIZE
    grid = ground[:, None, None, None] + 0.02 * rng.standard_normal(
        (n, 4, half, half, 3), dtype=np.float32
    )
    grid[owner, place] = cells
    return (
        np.clip(grid, 0, 1)
        .reshape(n, 2, 2, half, half, 3)
        .swapaxes(2, 3)
        .reshape(n, 2 * half, 2 * half, 3)
    )
