"""Claim level: how far "I'm sure" and "I'm not sure" can be trusted, against the
judge's label of each claim.

With label l_i (1: true) and tag s_i (1: sure) of claim i, over the claims of all
answers that were judged so:

    agreement       = mean(1 - |l_i - s_i|)      the m_i of Algorithm 1
    true_when_sure  = mean(l_i | s_i = 1)        a calibrated speaker: near 1
    true_when_unsure = mean(l_i | s_i = 0)       likewise: far below true_when_sure
    tag_auroc       = AUROC of s_i for l_i: (P(s=1 | l=1) - P(s=1 | l=0) + 1) / 2
    probability_ece, probability_auroc           of P(sure), where the engine gave it for every
                                                 claim used

Claims of one answer depend on each other, so intervals resample questions with all their answers
and claims. NaN where undefined: no claims, none with that tag, or one class.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.metrics.binned import ece_rows
from eval.metrics.bootstrap import N_RESAMPLES, percentile_interval
from eval.metrics.ranked import Floats, divide, rank
from eval.metrics.ranking import auroc_rows
from eval.metrics.resampling import about, resampled_bags
from eval.records import Answer, question_key


@dataclass(frozen=True)
class ClaimEstimate:
    """A claim-level value with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClaimCalibration:
    """Claim-level estimates by name (see the module), and what they stand on."""

    n_answers: int  # with at least one judged claim
    n_claims: int
    n_sure: int
    estimates: dict[str, ClaimEstimate]


def claim_calibration(
    answers: Sequence[Answer], n_resamples: int = N_RESAMPLES, seed: int = 0
) -> ClaimCalibration:
    """Calibration of the tags of some answers; answers whose claims were
    not judged are left out.
    """
    judged = [a for a in answers if a.claims and len(a.claims) == len(a.claim_labels)]
    questions = [question_key(a) for a in judged]
    place = {question: i for i, question in enumerate(dict.fromkeys(questions))}
    owner = np.array(
        [place[q] for q, a in zip(questions, judged, strict=True) for _ in a.claims], dtype=np.intp
    )
    label = np.array([v for a in judged for v in a.claim_labels], dtype=np.float64)
    sure = np.array([bool(c["sure"]) for a in judged for c in a.claims], dtype=np.float64)
    probability = _probabilities(judged)
    whole = _values(label, sure, probability)
    estimates = {name: ClaimEstimate(*[float("nan")] * 3) for name in whole}
    if label.size:
        once = np.ones((1, label.size))
        values = {name: float(value(once)[0]) for name, value in whole.items()}
        resampled = _resampled(label, sure, probability, owner, n_resamples, seed)
        for name, bags in resampled.items():
            interval = percentile_interval(about(values[name], bags))
            estimates[name] = ClaimEstimate(values[name], *interval)
    return ClaimCalibration(len(judged), label.size, int(sure.sum()), estimates)


def _resampled(
    label: Floats,
    sure: Floats,
    probability: Floats | None,
    owner: NDArray[np.intp],
    n_resamples: int,
    seed: int,
) -> dict[str, list[Floats]]:
    """Values of each estimate on the same resamples, bag by bag; owner (claims,) is
    each claim's question.
    """
    columns = [label, sure, *([] if probability is None else [probability])]
    found: dict[str, list[Floats]] = defaultdict(list)
    for bag in resampled_bags(columns, None, owner, n_resamples, seed):
        of_bag = [column[bag.rows] for column in columns]
        values = _values(of_bag[0], of_bag[1], None if probability is None else of_bag[2])
        drawn: dict[str, list[Floats]] = defaultdict(list)
        for counts in bag.weights:
            for name, value in values.items():
                drawn[name].append(value(counts))
        for name, parts in drawn.items():
            found[name].append(np.concatenate(parts))
    return found


def _probabilities(judged: Sequence[Answer]) -> Floats | None:
    """P(sure) of each claim; None if one of them is unknown."""
    found = [p for a in judged for p in (a.tag_probabilities or [None] * len(a.claims))]
    if (
        not found
        or len(found) != sum(len(a.claims) for a in judged)
        or any(p is None for p in found)
    ):
        return None
    return np.array(found, dtype=np.float64)


def _values(
    label: Floats, sure: Floats, probability: Floats | None
) -> dict[str, Callable[[Floats], Floats]]:
    """Functions of weights (rows, claims) -> (rows,)."""

    def mean(values: Floats, of: Floats) -> Callable[[Floats], Floats]:
        return lambda weights: divide(weights @ (values * of), weights @ of)

    every = np.ones(label.size)
    tags = rank(sure, label)
    found: dict[str, Callable[[Floats], Floats]] = {
        "agreement": mean(1 - np.abs(label - sure), every),
        "true_when_sure": mean(label, sure),
        "true_when_unsure": mean(label, 1 - sure),
        "tag_auroc": lambda weights: auroc_rows(tags, tags.weights(weights)),
    }
    if probability is not None:
        ranked = rank(probability, label)
        found["probability_ece"] = lambda weights: ece_rows(ranked, ranked.weights(weights))
        found["probability_auroc"] = lambda weights: auroc_rows(ranked, ranked.weights(weights))
    return found
