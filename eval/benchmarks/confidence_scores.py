"""What the confidence of a model's claims is worth on Object HalBench, by source, and
against other models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from eval.benchmarks.claim_confidence import SOURCES, rated_claims
from eval.benchmarks.claim_truth import (
    ClaimObjects,
    Described,
    ObjectCalibration,
    object_calibration,
)
from eval.benchmarks.loading import ObjHal
from eval.benchmarks.operating_curve import Point, gain_at_equal_recall, operating_curve
from eval.benchmarks.stored_answers import StoredAnswer
from eval.numbers.values import Interval

Answers = Mapping[str, StoredAnswer]


@dataclass(frozen=True)
class ConfidenceScores:
    """What one source of the claims' confidence is worth on Object HalBench; `gain`
    against random dropping.
    """

    calibration: ObjectCalibration
    curve: Sequence[Point]
    gain: Interval | None


def described_images(benchmark: ObjHal, answers: Answers, source: str) -> list[Described]:
    """The descriptions claim by claim, with the confidences of a source; objects by
    the offline extractor.
    """
    given = [answers[item.item_id] for item in benchmark.items]
    rated = [rated_claims(one.response, source, one.tag_probabilities) for one in given]
    # One call for the claims of all descriptions: the extractor works in batches.
    found = iter(benchmark.extractor.mentions([claim.text for claims in rated for claim in claims]))
    described = []
    for item, claims in zip(benchmark.items, rated, strict=True):
        objects = tuple(ClaimObjects(next(found), claim.confidence) for claim in claims)
        described.append(Described(item.item_id, objects, benchmark.truth[item.image_id]))
    return described


def score_confidence(benchmark: ObjHal, answers: Answers) -> dict[str, ConfidenceScores]:
    """What each source of confidence is worth; a source that no claim has is left out."""
    scores = {}
    for source in SOURCES:
        described = described_images(benchmark, answers, source)
        if any(c.confidence is not None for one in described for c in one.claims):
            scores[source] = ConfidenceScores(
                object_calibration(described),
                operating_curve(described),
                gain_at_equal_recall(described),
            )
    return scores


@dataclass(frozen=True)
class CurvePair:
    """Mention rate of the first model's operating curve minus the second's, at the same
    recall; negative is a gain.
    """

    first: str
    second: str
    gain: Interval | None


def finest_source(scores: Mapping[str, ConfidenceScores]) -> str | None:
    """The source of confidence that tells claims apart best: P(sure), else the tags, else
    the stated confidence.
    """
    sources = ("tag_probability", "tag", "stated")
    return next((source for source in sources if source in scores), None)


def compare_curves(
    benchmark: ObjHal,
    answers: Mapping[str, Answers],
    scores: Mapping[str, Mapping[str, ConfidenceScores]],
) -> list[CurvePair]:
    """Every pair of models, each by its finest source; a model without
    confidence drops claims at random.

    Args:
        answers, scores: by model; scores by source then.
    """
    described = {
        model: described_images(benchmark, answers[model], finest_source(scores[model]) or "tag")
        for model in answers
    }
    return [
        CurvePair(a, b, gain_at_equal_recall(described[a], described[b]))
        for a, b in combinations(described, 2)
    ]
