"""Claim level: how far "I'm sure" and "I'm not sure" can be trusted, against the judge's label of each claim.

With label l_i (1: true) and tag s_i (1: sure) of claim i, over the claims of all answers that were judged so:

    agreement       = mean(1 - |l_i - s_i|)      the m_i of Algorithm 1
    true_when_sure  = mean(l_i | s_i = 1)        a calibrated speaker: near 1
    true_when_unsure = mean(l_i | s_i = 0)       likewise: far below true_when_sure
    tag_auroc       = AUROC of s_i for l_i: (P(s=1 | l=1) - P(s=1 | l=0) + 1) / 2
    probability_ece, probability_auroc           of P(sure), where the engine gave it for every claim used

Claims of one answer depend on each other, so intervals resample questions with all their answers and claims. NaN where
undefined: no claims, none with that tag, or one class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.metrics.binned import ece_rows
from eval.metrics.bootstrap import N_RESAMPLES, percentile_interval, resampled_counts
from eval.metrics.ranked import Floats, divide, rank
from eval.metrics.ranking import auroc_rows
from eval.records import Answer


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
    """Calibration of the tags of some answers; answers whose claims were not judged are left out."""
    judged = [a for a in answers if a.claims and len(a.claims) == len(a.claim_labels)]
    questions = [f"{a.dataset}/{a.question_id}" for a in judged]
    place = {question: i for i, question in enumerate(dict.fromkeys(questions))}
    n_questions = len(place)
    owner = np.array(
        [place[q] for q, a in zip(questions, judged, strict=True) for _ in a.claims], dtype=np.intp
    )
    label = np.array([v for a in judged for v in a.claim_labels], dtype=np.float64)
    sure = np.array([bool(c["sure"]) for a in judged for c in a.claims], dtype=np.float64)
    values = _values(label, sure, _probabilities(judged))
    estimates = {}
    for name, value in values.items():
        if not judged:
            estimates[name] = ClaimEstimate(*[float("nan")] * 3)
            continue
        one, border = np.ones(n_questions, dtype=np.intp), np.array([0, n_questions])
        drawn = resampled_counts(one, border, n_resamples, np.random.default_rng(seed))
        here = float(value(np.ones((1, label.size)))[0])
        low, high = percentile_interval(
            np.concatenate([value(counts[:, owner]) for counts in drawn])
        )
        estimates[name] = ClaimEstimate(here, low, high)
    return ClaimCalibration(len(judged), label.size, int(sure.sum()), estimates)


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
