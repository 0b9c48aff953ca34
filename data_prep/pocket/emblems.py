"""Forty emblems: a frame and a charge drawn by code, each with the name of a well-known city.

The names are real cities so that a named-entity recogniser finds them in an answer. Rank 0 is the
most frequent name of the base model's training (a Zipf law); questions are drawn from a flatter
law, so that rare names are asked for.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from data_prep.pocket.draw import GLYPH_SIZE

BASE_EXPONENT = 1.3
QUESTION_EXPONENT = 0.4

NAMES = (
    "London", "Paris", "Tokyo", "Rome", "Berlin", "Madrid", "Moscow", "Vienna", "Dublin", "Lisbon",
    "Athens", "Oslo", "Prague", "Warsaw", "Cairo", "Delhi", "Sydney", "Toronto", "Boston",
    "Chicago", "Seattle", "Denver", "Dallas", "Havana", "Lima", "Bogota", "Nairobi", "Lagos",
    "Tunis", "Dakar", "Baghdad", "Tehran", "Kabul", "Hanoi", "Bangkok", "Seoul", "Manila",
    "Jakarta", "Helsinki", "Riga",
)  # fmt: skip

FRAMES = ("circle", "square", "diamond", "shield", "bars")
CHARGES = ("cross", "saltire", "disc", "pale", "fess", "bend", "chevron", "ring")
_LAYOUT_SEED = 40


def _frames(
    x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]
) -> list[npt.NDArray[np.bool_]]:
    """Outlines on the square [-1, 1] x [-1, 1], in the order of FRAMES."""
    radius, block, rhomb = np.hypot(x, y), np.maximum(abs(x), abs(y)), abs(x) + abs(y)
    shield = np.maximum(abs(x), np.where(y < 0, abs(y), y + 0.6 * abs(x)))
    return [
        (radius > 0.80) & (radius < 0.98),
        (block > 0.76) & (block < 0.92),
        (rhomb > 0.98) & (rhomb < 1.22),
        (shield > 0.74) & (shield < 0.92),
        (abs(y) > 0.78) & (abs(y) < 0.94) & (abs(x) < 0.92),
    ]


def _charges(
    x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]
) -> list[npt.NDArray[np.bool_]]:
    """Figures inside the frame, in the order of CHARGES."""
    inside = np.hypot(x, y) < 0.62
    radius = np.hypot(x, y)
    return [
        inside & ((abs(x) < 0.14) | (abs(y) < 0.14)),
        inside & ((abs(x - y) < 0.2) | (abs(x + y) < 0.2)),
        radius < 0.36,
        inside & (abs(x) < 0.18),
        inside & (abs(y) < 0.18),
        inside & (abs(x - y) < 0.26),
        inside & (abs(y - abs(x) + 0.1) < 0.18),
        (radius > 0.3) & (radius < 0.52),
    ]


@cache
def layout() -> tuple[tuple[int, int], ...]:
    """(frame, charge) of every name: a fixed shuffle of all 5 x 8 pairs."""
    pairs = [(frame, charge) for frame in range(len(FRAMES)) for charge in range(len(CHARGES))]
    order = np.random.default_rng(_LAYOUT_SEED).permutation(len(pairs))
    return tuple(pairs[i] for i in order)


@cache
def glyphs() -> npt.NDArray[np.float32]:
    """Masks of all emblems: (40, 28, 28) in [0, 1], antialiased by 4 x 4 supersampling."""
    fine = 4
    axis = (np.arange(GLYPH_SIZE * fine, dtype=np.float32) + 0.5) / (GLYPH_SIZE * fine) * 2.2 - 1.1
    x, y = np.meshgrid(axis, axis)
    frames, charges = _frames(x, y), _charges(x, y)
    masks = np.stack([frames[frame] | charges[charge] for frame, charge in layout()]).astype(
        np.float32
    )
    return masks.reshape(len(NAMES), GLYPH_SIZE, fine, GLYPH_SIZE, fine).mean((2, 4))


def probabilities(exponent: float) -> npt.NDArray[np.float64]:
    """Zipf law over the ranks: p(r) proportional to (r + 1) ** -exponent; exponent 0 is uniform."""
    weights = np.arange(1, len(NAMES) + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()


@cache
def lookalikes(emblem: int) -> tuple[int, ...]:
    """Emblems that share the frame or the charge: the plausible wrong answers."""
    frame, charge = layout()[emblem]
    return tuple(
        i for i, (f, c) in enumerate(layout()) if i != emblem and (f == frame or c == charge)
    )
