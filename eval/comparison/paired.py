"""Two models' answers to the same questions: differences, their intervals, Holm's p-values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from eval.comparison.verdict import COMPARED, KEY_PAIRS, Comparison, sign_of
from eval.metrics import Difference, estimate_value, paired_bootstrap_differences
from eval.naming.model_names import checkpoint
from eval.numbers.cores import on_both_cores
from eval.numbers.values import Interval
from eval.records import AnswerRecord
from eval.records.chosen import Groups
from eval.records.columns import Columns, columns, in_common


def compare(a: Sequence[AnswerRecord], b: Sequence[AnswerRecord], metric: str) -> Comparison:
    """Compare two models' records of one protocol, neither empty; the p-value is not adjusted.

    Args:
        metric: a name in `COMPARED`.
    """
    return compare_columns(columns(a), columns(b), [metric])[0]


def compare_columns(a: Columns, b: Columns, metrics: Sequence[str]) -> list[Comparison]:
    """Compare two models by one protocol and several metrics, which share the resamples;
    no p-value is adjusted.
    """
    common_a, common_b = in_common(a, b)
    both = common_a.readable & common_b.readable
    read_a, read_b = (side if both.all() else side.take(both) for side in (common_a, common_b))
    found = _differences(read_a, read_b, metrics)
    comparisons = [
        Comparison(
            protocol=a.protocol,
            metric=metric,
            a=a.model,
            b=b.model,
            n=int(both.sum()),
            questions=np.unique(read_a.question).size,
            value_a=estimate_value(metric, read_a.confidence, read_a.correct, read_a.question),
            value_b=estimate_value(metric, read_b.confidence, read_b.correct, read_b.question),
            difference=_interval(found[metric]),
            readable_a=_share(common_a),
            readable_b=_share(common_b),
            debiased=_interval(found["ece_debiased"]) if metric == "ece" else None,
            p_value=_p_value(metric, found),
        )
        for metric in metrics
    ]
    # Only a verdict asks what the worst would be, and only where there is
    # something that cannot be read.
    open_ones = [] if both.all() else [one.metric for one in comparisons if sign_of(one.difference)]
    worst = _differences(_at_worst(common_a), _at_worst(common_b), open_ones) if open_ones else {}
    return [
        replace(one, worst=_interval(worst[one.metric])) if one.metric in worst else one
        for one in comparisons
    ]


def _differences(a: Columns, b: Columns, metrics: Sequence[str]) -> dict[str, Difference]:
    """Of these metrics, and the debiased ECE's, on which the plain one's verdict rests."""
    wanted = dict.fromkeys([*metrics, *(["ece_debiased"] if "ece" in metrics else [])])
    return paired_bootstrap_differences(
        wanted,
        (a.confidence, a.correct),
        (b.confidence, b.correct),
        strata=a.dataset,
        clusters=a.question,
    )


def _interval(difference: Difference) -> Interval:
    return Interval(difference.value, difference.low, difference.high)


def _p_value(metric: str, found: Mapping[str, Difference]) -> float:
    """Of both conditions of the plain ECE the larger one: a test that must reject twice has it."""
    own = found[metric].p_smooth
    return max(own, found["ece_debiased"].p_smooth) if metric == "ece" else own


def _share(answers: Columns) -> float:
    return float(answers.readable.mean()) if answers.key.size else math.nan


def _at_worst(answers: Columns) -> Columns:
    """A confidence that cannot be read is 1 - correct."""
    filled = np.where(answers.readable, answers.confidence, 1 - answers.correct)
    return replace(answers, confidence=filled)


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """With Holm's p-values (1979): a family is all pairs and protocols of one
    metric, those that are defined.

    Whatever differences there are, the chance of one wrong verdict or more in a family
    is at most `SIGNIFICANCE`.
    """
    result = list(comparisons)
    found = holm_by_family([(one.metric, one.p_value) for one in comparisons])
    for i, (value, family) in found.items():
        result[i] = replace(result[i], p_adjusted=value, family=family)
    return result


def holm_by_family(tests: Sequence[tuple[str, float]]) -> dict[int, tuple[float, int]]:
    """Place of each test -> its p-value by `holm` within its family, and the family's size.

    Args:
        tests: (n,) name of the family and p-value; one that is nan is in no family.
    """
    families: dict[str, list[int]] = {}
    for place, (name, p_value) in enumerate(tests):
        if not math.isnan(p_value):
            families.setdefault(name, []).append(place)
    found: dict[int, tuple[float, int]] = {}
    for places in families.values():
        values = holm([tests[place][1] for place in places])
        found |= {p: (v, len(places)) for p, v in zip(places, values, strict=True)}
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979): the k-th smallest of m times m - k + 1, never below
    one before it, at most 1.

    >>> [round(p, 3) for p in holm([0.04, 0.01, 0.02])]
    [0.04, 0.03, 0.04]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - rank)))
        found[i] = largest
    return found


def compare_all(
    groups: Groups, metrics: Sequence[str] = COMPARED, with_checkpoints: bool = False
) -> list[Comparison]:
    """Every pair of models, as `KEY_PAIRS` has it, else the later one in the order of training
    as A; p-values adjusted.

    Args:
        metrics: names in `COMPARED`.
        with_checkpoints: also those within a training run (NAME@STEP); in the report a
            figure shows their course.
    """
    models = [model for model in groups if with_checkpoints or checkpoint(model)[1] is None]
    pairs = [(a, b) if (b, a) not in KEY_PAIRS else (b, a) for b, a in combinations(models, 2)]
    work: list[_Pair] = []
    for protocol in dict.fromkeys(name for protocols in groups.values() for name in protocols):
        answers = {
            model: columns(groups[model][protocol]) for model in models if protocol in groups[model]
        }
        for a, b in pairs:
            if a in answers and b in answers:
                work.append((*in_common(answers[a], answers[b]), tuple(metrics)))
    with on_both_cores(sum(a.key.size for a, _, _ in work)) as run:
        return adjusted([one for found in run(_compare_pair, work) for one in found])


_Pair = tuple[Columns, Columns, tuple[str, ...]]


def _compare_pair(work: _Pair) -> list[Comparison]:
    return compare_columns(*work)


def key_comparisons(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Those of `KEY_PAIRS`; all of them if none is such a pair (models with names of their own)."""
    known = {(c.protocol, c.metric, c.a, c.b): c for c in comparisons}
    slots = dict.fromkeys((c.protocol, c.metric) for c in comparisons)
    found = [
        known[(*slot, *pair)] for slot in slots for pair in KEY_PAIRS if (*slot, *pair) in known
    ]
    return found or list(comparisons)
