"""What a confidence buys: drop the claims below a threshold, and see fewer
hallucinations at what recall.

At threshold t an image's description keeps its claims with confidence >= t (all of them at the
first point, those without a confidence too). Of what is kept:

    hallucination rate   sum of hallucinated mentions / sum of mentions
    recall               sum of the image's objects told / sum of the image's objects

Dropping claims at random keeps the rate and lowers the recall; so at equal recall the curve's rate
below the rate of the whole is what the confidence is worth. Between two points of the curve the
rate is interpolated: a user who picks one of the two thresholds at random is there, to first
order. Two models on the same images are compared at a share of the lower of their full recalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.benchmarks.claim_truth import Described
from eval.metrics.bootstrap import N_RESAMPLES, percentile_interval
from eval.metrics.ranked import Floats, divide
from eval.metrics.resampling import about, resampled_bags
from eval.numbers.values import Interval
from reward_fns.errors import UserError

MOST_POINTS = 50


@dataclass(frozen=True)
class Point:
    """The rates at one threshold; `threshold` is None where nothing is dropped, NaN rates
    where nothing is left.
    """

    threshold: float | None
    kept: float  # share of all claims
    rate: float
    recall: float


@dataclass(frozen=True)
class _Counts:
    """(T, n), of each threshold and image: hallucinated mentions, mentions, objects told;
    truth (n,), kept (T,).
    """

    wrong: Floats
    mentions: Floats
    told: Floats
    truth: Floats
    kept: Floats


def operating_curve(described: Sequence[Described]) -> list[Point]:
    """The points by rising threshold, the first without any; [] for no images."""
    if not described:
        return []
    thresholds = _thresholds(described)
    counts = _count(described, thresholds)
    rate, recall = _rates(counts, np.ones((1, len(described))))
    claims = max(counts.kept[0], 1)
    return [
        Point(t, float(k / claims), float(h), float(r))
        for t, k, h, r in zip(thresholds, counts.kept, rate[0], recall[0], strict=True)
    ]


def gain_at_equal_recall(
    first: Sequence[Described], second: Sequence[Described] | None = None, share: float = 0.8
) -> Interval | None:
    """Hallucination rate of the first's curve minus that of another, at the same
    recall; negative is a gain.

    Args:
        second: another model on the same images; None: the same model with
            claims dropped at random.
        share: of the (lower) full recall, at which the two are compared.

    Returns:
        With the 95 % interval of a bootstrap over images; None where undefined.

    Raises:
        UserError: the two describe different images.
    """
    if second is not None and [one.item_id for one in first] != [one.item_id for one in second]:
        raise UserError("the two models describe different images: compare them on the same ones")
    ours = _count(first, _thresholds(first)) if first else None
    if ours is None:
        return None
    theirs = None if second is None else _count(second, _thresholds(second))
    n = len(first)
    value = float(_gain(ours, theirs, np.ones((1, n)), share)[0])
    if np.isnan(value):
        return None
    resampled = []
    for bag in resampled_bags([np.arange(n, dtype=np.float64)], None, None, N_RESAMPLES, 0):
        drawn = []
        for weights in bag.weights:
            whole = np.zeros((len(weights), n))
            whole[:, bag.rows] = weights
            drawn.append(_gain(ours, theirs, whole, share))
        resampled.append(np.concatenate(drawn))
    return Interval(value, *percentile_interval(about(value, resampled)))


def _thresholds(described: Sequence[Described]) -> list[float | None]:
    """None and the distinct confidences, at most `MOST_POINTS` of them, evenly by rank."""
    every = [c.confidence for one in described for c in one.claims if c.confidence is not None]
    levels = np.unique(every)
    places = np.unique(np.linspace(0, levels.size - 1, min(levels.size, MOST_POINTS)).astype(int))
    return [None, *map(float, levels[places])] if levels.size else [None]


def _count(described: Sequence[Described], thresholds: Sequence[float | None]) -> _Counts:
    shape = len(thresholds), len(described)
    wrong, mentions, told = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    kept = np.zeros(len(thresholds))
    for place, threshold in enumerate(thresholds):
        for column, one in enumerate(described):
            left = [c for c in one.claims if _keeps(c.confidence, threshold)]
            mentioned = [name for claim in left for name in claim.mentioned]
            kept[place] += len(left)
            mentions[place, column] = len(mentioned)
            wrong[place, column] = sum(name not in one.truth for name in mentioned)
            told[place, column] = len(set(mentioned) & one.truth)
    truth = np.array([len(one.truth) for one in described], dtype=np.float64)
    return _Counts(wrong, mentions, told, truth, kept)


def _keeps(confidence: float | None, threshold: float | None) -> bool:
    return threshold is None or (confidence is not None and confidence >= threshold)


def _rates(counts: _Counts, weights: Floats) -> tuple[Floats, Floats]:
    """Rate and recall (rows, T) of resamples with weights (rows, n)."""
    rate = divide(weights @ counts.wrong.T, weights @ counts.mentions.T)
    objects = weights @ counts.truth
    recall = divide(weights @ counts.told.T, np.repeat(objects[:, None], len(counts.kept), axis=1))
    return rate, recall


def _gain(ours: _Counts, theirs: _Counts | None, weights: Floats, share: float) -> Floats:
    rate, recall = _rates(ours, weights)
    if theirs is None:
        return np.array([_at(h, r, share * r[0]) - h[0] for h, r in zip(rate, recall, strict=True)])
    other_rate, other_recall = _rates(theirs, weights)
    rows = zip(rate, recall, other_rate, other_recall, strict=True)
    return np.array(
        [
            _at(h, r, share * min(r[0], s[0])) - _at(g, s, share * min(r[0], s[0]))
            for h, r, g, s in rows
        ]
    )


def _at(rate: Floats, recall: Floats, wanted: float) -> float:
    """The rate at a recall, by the highest threshold that reaches it and the next one;
    NaN above the full recall.

    The last threshold is passed by dropping its claims at random, which keeps the rate.
    """
    last = int((recall >= wanted).sum()) - 1  # recall falls along the curve
    if last < 0:
        return float("nan")
    after = last + 1
    if after == len(rate) or np.isnan(rate[after]):
        return float(rate[last])
    part = (recall[last] - wanted) / (recall[last] - recall[after])
    return float(rate[last] + part * (rate[after] - rate[last]))
