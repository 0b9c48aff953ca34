"""Schemes: how a dataset's scaled statistics become its coefficients alpha, beta, gamma, delta.

(h, z, w) are the share of contradictions, the rarity score and the entity focus, each against the
datasets of reference (`difficulty`).

    table4      the printed Table 4; for a dataset given by its statistics, the recovered mapping
    recovered   A.1's form with scales and offsets fitted to Table 4; reproduces its 56 cells
                within 6e-4:
                alpha = 1.07227 + 0.58787 * tanh(-0.12030 - 0.53357 * (h + 0.2 z))
                beta  = 0.84587 + 1.48444 * sigma(0.29604 + 0.72623 * z * (1 + w))
                gamma = min(2, 0.99378 - 0.07547 alpha
                               + 0.59432 * max(0, softplus(1.69002 h + 0.04518) - 0.69160))
                delta = 0.70223 + 1.11772 * sigma(0.30725 + 0.77917 * (h + z))
    appendix    the coefficient formulas of A.1 to the letter (with Eq. 3; they cannot give Table
                4, and switch alpha off on six of the fourteen datasets):
                alpha = clip(tanh(-h - z), 0, 2.5)      beta  = clip(sigma(w * z), 0.5, 2.5)
                gamma = clip(h - 0.1 alpha, 0, 2)       delta = clip(sigma(z + h), 0, 2)
    fixed       1, 1, 1, 1 for every dataset (the ablation of Figure 5)
"""

import math
from collections.abc import Callable

from reward_fns.coefficients_file import Coefficients

Scheme = Callable[[float, float, float], Coefficients]

SCHEMES = ("table4", "recovered", "appendix", "fixed")

ALPHA_SLOPE, BETA_SLOPE, GAMMA_SLOPE, DELTA_SLOPE = 0.53357, 0.72623, 1.69002, 0.77917
"""Of the recovered mapping, by which a single question moves its dataset's coefficients too."""
RARITY_IN_ALPHA = 0.2
"""What a deviation of z counts beside one of h, in alpha."""
ALPHA_CLIP, BETA_CLIP, GAMMA_CLIP, DELTA_CLIP = (0.0, 2.5), (0.5, 2.5), (0.0, 2.0), (0.0, 2.0)
"""Bounds of A.1."""


def find_scheme(name: str) -> Scheme:
    """A scheme by its name.

    Raises:
        ValueError: unknown; the message names those that are known.
    """
    if name not in _MAPPINGS:
        raise ValueError(f"unknown coefficient scheme {name!r}: choose one of {', '.join(SCHEMES)}")
    return _MAPPINGS[name]


def _recovered(h: float, z: float, w: float) -> Coefficients:
    alpha = 1.07227 + 0.58787 * math.tanh(-0.12030 - ALPHA_SLOPE * (h + RARITY_IN_ALPHA * z))
    return Coefficients(
        alpha=alpha,
        beta=0.84587 + 1.48444 * _sigma(0.29604 + BETA_SLOPE * z * (1 + w)),
        gamma=min(
            2.0,
            0.99378
            - 0.07547 * alpha
            + 0.59432 * max(0.0, _softplus(GAMMA_SLOPE * h + 0.04518) - 0.69160),
        ),
        delta=0.70223 + 1.11772 * _sigma(0.30725 + DELTA_SLOPE * (h + z)),
    )


def _appendix(h: float, z: float, w: float) -> Coefficients:
    alpha = _clip(math.tanh(-h - z), ALPHA_CLIP)
    return Coefficients(
        alpha=alpha,
        beta=_clip(_sigma(w * z), BETA_CLIP),
        gamma=_clip(h - 0.1 * alpha, GAMMA_CLIP),
        delta=_clip(_sigma(z + h), DELTA_CLIP),
    )


def _fixed(h: float, z: float, w: float) -> Coefficients:
    return Coefficients(1.0, 1.0, 1.0, 1.0)


_MAPPINGS: dict[str, Scheme] = {
    "table4": _recovered,
    "recovered": _recovered,
    "appendix": _appendix,
    "fixed": _fixed,
}


def _sigma(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _clip(x: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(max(x, low), high)
