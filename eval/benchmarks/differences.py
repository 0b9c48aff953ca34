"""Every model against the first one on the same items: paired differences, and which may be noise.

A number is a ratio of two sums over items, as in `rates`; items of one image are resampled
together. The two models are resampled together, so what makes an item hard for both does not widen
the interval. "better" or "worse" needs what `eval.comparison` asks for: an interval without 0, at
least 30 images, and a p-value below 0.05 after Holm's adjustment over all models and views of the
same number. Else it is "undecided": the difference may be noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.comparison.paired import holm_by_family
from eval.comparison.verdict import FEWEST_QUESTIONS, SIGNIFICANCE, sign_of
from eval.metrics.bootstrap import N_RESAMPLES, difference_of
from eval.metrics.ranked import Floats, divide
from eval.metrics.resampling import about, resampled_bags
from eval.tables.table import Interval

HIGHER_IS_BETTER = {
    "MMHal score": True,
    "MMHal hallucination": False,
    "ObjHal response": False,
    "ObjHal mention": False,
    "ObjHal recall": True,
    "POPE accuracy": True,
}
"""What is compared, and which way is good."""


@dataclass(frozen=True)
class Outcomes:
    """One number of one model, item by item: sum(above) / sum(below).

    Attributes:
        above, below: item_id -> share of numerator and denominator, >= 0; 0 and 0 for
            one that does not count.
        images: item_id -> image.
    """

    above: Mapping[str, float]
    below: Mapping[str, float]
    images: Mapping[str, str]


@dataclass(frozen=True)
class PairedDifference:
    """The model's value minus the other's, on the items of both.

    Attributes:
        number: a name in `HIGHER_IS_BETTER`.
        view: "" where views make no difference.
        p_value: two-sided, of no difference; p_holm: adjusted over `family` of them.
        verdict: of the model, "better", "worse", "undecided" or "undefined".
    """

    model: str
    against: str
    number: str
    view: str
    difference: Interval
    images: int
    p_value: float
    p_holm: float = math.nan
    family: int = 1
    verdict: str = "undecided"


Found = Mapping[tuple[str, str], Outcomes]
"""(number, view) -> outcomes of one model."""


def against_first(found: Mapping[str, Found], seed: int = 0) -> list[PairedDifference]:
    """Every later model against the first, number by number; [] for one model."""
    first, *others = found
    compared = [
        _compare(model, first, key, found[model][key], found[first][key], seed)
        for model in others
        for key in found[first]
        if key in found[model]
    ]
    return _judged(compared)


def _compare(
    model: str, against: str, key: tuple[str, str], ours: Outcomes, theirs: Outcomes, seed: int
) -> PairedDifference:
    items = [item for item in ours.above if item in theirs.above]
    columns = [
        np.array([side[item] for item in items], dtype=np.float64)
        for side in (ours.above, ours.below, theirs.above, theirs.below)
    ]
    images = [ours.images[item] for item in items]
    value = float(_difference(np.ones((1, len(items))), *columns)[0]) if items else math.nan
    resampled = []
    for bag in resampled_bags(columns, None, images, N_RESAMPLES, seed) if items else ():
        of_bag = [column[bag.rows] for column in columns]
        resampled.append(np.concatenate([_difference(w, *of_bag) for w in bag.weights]))
    drawn = about(value, resampled) if resampled else np.zeros(0)
    one = difference_of(value, drawn)
    interval = Interval(one.value, one.low, one.high)
    return PairedDifference(model, against, *key, interval, len(set(images)), one.p_smooth)


def _difference(weights: Floats, *columns: Floats) -> Floats:
    """Of each row of weights (rows, n); columns (n,) are both models' above and below."""
    a, b, c, d = (weights @ column for column in columns)
    return divide(a, b) - divide(c, d)


def _judged(compared: Sequence[PairedDifference]) -> list[PairedDifference]:
    result = list(compared)
    found = holm_by_family([(one.number, one.p_value) for one in compared])
    for i, (value, family) in found.items():
        result[i] = replace(compared[i], p_holm=value, family=family)
    return [replace(one, verdict=_verdict(one)) for one in result]


def _verdict(one: PairedDifference) -> str:
    if math.isnan(one.difference.low):
        return "undefined"
    sign = sign_of(one.difference)
    if sign == 0 or one.images < FEWEST_QUESTIONS or not one.p_holm < SIGNIFICANCE:
        return "undecided"
    return "better" if (sign > 0) == HIGHER_IS_BETTER[one.number] else "worse"
