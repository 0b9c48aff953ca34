"""Smooth ECE (Blasiok and Nakkiran 2023): no bins, so no jumps when a confidence crosses a border.

With K_s the Gaussian kernel of width s, reflected at 0 and 1, and residuals r_i = c_i - y_i:

    smECE_s = sum_t |sum_i r_i K_s(t - c_i)| / sum_t sum_i K_s(t - c_i)
              over an even mesh of points t in [0, 1]

and smECE is smECE_s at the smallest s, a multiple of 1/1024, that is not below its own smECE_s.

The discretisation is that of the authors' package relplot 1.0.3, so that the values agree with
theirs: a grid of max(2000, 20/s) / 2 + 1 points onto which residuals are split in proportion,
max(200, 10/s) points t, the density raised by 1e-4, ten bisection steps. relplot smooths one data
set at a time; here all resamples of a bootstrap go together.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.ranked import Floats, Ranked, estimate

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_STEPS = 10
_SMALLEST = 0.001
_DENSITY_OFFSET = 1e-4
_VALUES_PER_BATCH = 4_000_000


def smooth_ece(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Smooth ECE, in [0, 1]; NaN for n = 0.

    Raises:
        ValueError: shapes differ, or a value is NaN or outside [0, 1].
    """
    return estimate(smooth_ece_rows, confidence, correct)


def smooth_ece_rows(answers: Ranked, weights: Floats) -> Floats:
    """Smooth ECE of each resample."""
    grid = _Grid(answers, weights)
    rows = np.arange(weights.shape[0])
    wide, narrow = np.ones(rows.size), np.zeros(rows.size)
    value = grid.smoothed(rows, wide)
    found = wide < value  # even the widest kernel is below its value: it stands
    for _ in range(_STEPS):
        middle = np.where(found, wide, (wide + narrow) / 2)
        here = grid.smoothed(rows, middle)
        below = (middle < _SMALLEST) | (middle < here)
        narrow = np.where(below & ~found, middle, narrow)
        value = np.where(below | found, value, here)
        wide = np.where(below | found, wide, middle)
    return value


class _Grid:
    """Residuals and weights of each resample on grids of the sizes that the widths
    ask for, made once each.
    """

    def __init__(self, answers: Ranked, weights: Floats) -> None:
        from scipy.sparse import csr_array

        wide = answers.confidence.astype(np.float64)
        self._confidence, place = np.unique(wide, return_inverse=True)  # (u,) distinct ones
        shape = (wide.size, self._confidence.size)
        onto = csr_array((np.ones(wide.size), (np.arange(wide.size), place)), shape=shape)
        self._residual = (weights * (wide - answers.correct)) @ onto  # (rows, u)
        self._weight = weights @ onto
        self._sums: dict[int, tuple[Floats, Floats]] = {}

    def _split(self, size: int) -> "csr_array":
        """How each distinct confidence is split between its two nearest grid points, (u, size)."""
        from scipy.sparse import csr_array

        c = self._confidence
        left = (c * (size - 1)).astype(np.intp).clip(0, size - 2)
        share = c * (size - 1) - left
        item = np.tile(np.arange(c.size), 2)
        values, points = np.concatenate([1 - share, share]), np.concatenate([left, left + 1])
        return csr_array((values, (item, points)), shape=(c.size, size))

    def _on_grid(self, size: int) -> tuple[Floats, Floats]:
        """Residuals and weights at grid points, each (rows, size)."""
        if size not in self._sums:
            split = self._split(size)
            self._sums[size] = self._residual @ split, self._weight @ split
        return self._sums[size]

    def smoothed(self, rows: NDArray[np.intp], widths: Floats) -> Floats:
        """smECE_s of each row at its own width."""
        values = np.empty(rows.size)
        for width in np.unique(widths):
            these = rows[widths == width]
            size = max(2000, round(20 / width)) // 2 + 1
            if self._confidence.size < 2 * these.size:
                values[these] = self._of_few(these, size, float(width))
                continue
            residual, weight = self._on_grid(size)
            per_batch = max(1, _VALUES_PER_BATCH // size)
            for start in range(0, these.size, per_batch):
                batch = these[start : start + per_batch]
                values[batch] = _smooth(residual[batch], weight[batch], float(width))
        return values

    def _of_few(self, rows: NDArray[np.intp], size: int, width: float) -> Floats:
        """Of few distinct confidences: smoothing is linear, so each is smoothed once for all rows.

        One-decimal confidences are eleven, resamples a thousand.
        """
        at_mesh = _at_mesh(self._split(size).toarray(), width)  # (u, points)
        values = np.empty(rows.size)
        density = self._weight[rows] @ at_mesh.sum(axis=1) + _DENSITY_OFFSET * at_mesh.shape[1]
        per_batch = max(1, _VALUES_PER_BATCH // at_mesh.shape[1])
        for start in range(0, rows.size, per_batch):
            batch = slice(start, start + per_batch)
            values[batch] = np.abs(self._residual[rows[batch]] @ at_mesh).sum(axis=1)
        return values / density


def _smooth(residual: Floats, weight: Floats, width: float) -> Floats:
    """Both on a grid (rows, size) -> smECE_s (rows,)."""
    return np.abs(_at_mesh(residual, width)).sum(axis=1) / (
        _at_mesh(weight, width) + _DENSITY_OFFSET
    ).sum(axis=1)


def _at_mesh(values: Floats, width: float) -> Floats:
    """Kernel sums of grid values (rows, size) at the points t, by linear
    interpolation between grid points.
    """
    from scipy.signal import fftconvolve

    size = values.shape[1]
    mirrored = np.hstack([values[:, :0:-1], values, values[:, -2::-1]])
    whole = fftconvolve(mirrored, _kernel(width, size)[None, :], mode="valid", axes=1)
    smooth = whole[:, size // 2 : size // 2 + size]
    left, share = _mesh(max(round(10 / width), 200), size)
    return smooth[:, left] * (1 - share) + smooth[:, left + 1] * share


@lru_cache(maxsize=64)
def _kernel(width: float, size: int) -> Floats:
    offset = np.linspace(0, 1, size) - 0.5
    return np.exp(-(offset**2) / (2 * width**2)) / (np.sqrt(2 * np.pi) * width)


@lru_cache(maxsize=64)
def _mesh(points: int, size: int) -> tuple[NDArray[np.intp], Floats]:
    """Grid point to the left of each t, and how far t is towards the next one."""
    t = np.linspace(0, 1, points)
    left = (t * (size - 1)).astype(np.intp).clip(0, size - 2)
    return left, t * (size - 1) - left
