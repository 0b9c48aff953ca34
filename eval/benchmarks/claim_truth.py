"""Is an unsure claim more often hallucinated? Claims against the truth about objects,
which no judge has a say in.

A claim hallucinates if it mentions an object that the image does not hold; claims that mention no
object are left out, since the truth says nothing about them. A claim that does not hallucinate may
still be wrong about colour or place.

    hallucinated when sure / unsure    share of the claims with
                                       confidence >= 0.5 / < 0.5 that hallucinate
    ece_debiased, auroc, brier         of the confidence against "does not
                                       hallucinate" (`eval.metrics`)

Intervals resample images with all their claims.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eval.benchmarks.rates import Rate, ratio
from eval.metrics.estimates import Estimate, estimate_all

METRICS = ("ece_debiased", "auroc", "brier")
SURE = 0.5
"""From this confidence on a claim counts as sure."""


@dataclass(frozen=True)
class ClaimObjects:
    """What one claim mentions.

    Attributes:
        mentioned: objects in its order, repetitions included.
        confidence: in [0, 1]; None if unknown.
    """

    mentioned: tuple[str, ...]
    confidence: float | None


@dataclass(frozen=True)
class Described:
    """One image's description, claim by claim, and the objects that the image holds."""

    item_id: str
    claims: tuple[ClaimObjects, ...]
    truth: AbstractSet[str]


@dataclass(frozen=True)
class ObjectCalibration:
    """See the module.

    Attributes:
        claims: with an object; unread: those of them without a confidence.
        estimates: of `METRICS`, by name.
    """

    claims: int
    unread: int
    hallucinated_when_sure: Rate
    hallucinated_when_unsure: Rate
    estimates: dict[str, Estimate]


def object_calibration(described: Sequence[Described], seed: int = 0) -> ObjectCalibration:
    """Calibration of the claims' confidences against the truth about objects."""
    rows = [
        (one.item_id, claim.confidence, set(claim.mentioned) <= one.truth)
        for one in described
        for claim in one.claims
        if claim.mentioned
    ]
    items = [item for item, _, _ in rows]
    true = [float(is_true) for _, _, is_true in rows]
    wrong = [1 - value for value in true]
    sure = [c is not None and c >= SURE for _, c, _ in rows]
    unsure = [c is not None and c < SURE for _, c, _ in rows]
    confidences = [c for _, c, _ in rows]
    return ObjectCalibration(
        claims=len(rows),
        unread=sum(c is None for c in confidences),
        hallucinated_when_sure=_among(wrong, sure, items, seed),
        hallucinated_when_unsure=_among(wrong, unsure, items, seed),
        estimates=estimate_all(confidences, true, metrics=METRICS, seed=seed, clusters=items),
    )


def _among(wrong: Sequence[float], chosen: Sequence[bool], items: Sequence[str], seed: int) -> Rate:
    return ratio([w * c for w, c in zip(wrong, chosen, strict=True)], chosen, items, seed)
