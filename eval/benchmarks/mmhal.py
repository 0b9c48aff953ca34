"""MMHal-Bench: 96 questions of eight types, each answer rated from 0 to 6 by a
judge who sees text only.

    score               mean rating
    hallucination rate  share of ratings below 3

The rubric (`reward_fns/prompts/mmhal_rating.txt`) has the publisher's scale in our own words. An
unreadable rating is asked for again by the expert layer, and then counted apart: it is in neither
number. With `paper` it is a rating of 0, as the publisher's script has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eval.benchmarks.items import Item, field, find_image, read_each
from eval.benchmarks.rates import Rate, mean, share
from reward_fns.expert import RubricRequest

RUBRIC = "mmhal_rating"
LOWEST, HIGHEST = 0, 6
HALLUCINATES_BELOW = 3


@dataclass(frozen=True)
class MmhalQuestion:
    """One record of the publisher's file, with its image."""

    item: Item
    question_type: str
    image_content: tuple[str, ...]
    reference: str


@dataclass(frozen=True)
class Rating:
    """The judge's rating of one answer, 0 to 6; None if it could not be read."""

    question_type: str
    rating: int | None


@dataclass(frozen=True)
class MmhalScores:
    """Scores of some ratings.

    Attributes:
        score: mean rating, 0 to 6.
        hallucination_rate: share of ratings below 3.
        unreadable: ratings that could not be read; with `paper` they count as 0 too.
    """

    score: Rate
    hallucination_rate: Rate
    unreadable: int


def read_questions(
    path: Path, images: Path, left_out: list[str] | None = None
) -> list[MmhalQuestion]:
    """The publisher's file; images are named as in `image_src`, or by `image_id`.
    As `items.read_each`.

    Raises:
        UserError: an image is missing.
    """
    found = [] if left_out is None else left_out
    return list(read_each(path, partial(_question, images), found))


def _question(images: Path, record: dict[str, Any], where: str, number: int) -> MmhalQuestion:
    image_id = field(record, "image_id")
    source = str(record.get("image_src") or "").rpartition("/")[2]
    names = [source, f"{image_id}.jpg", f"{image_id}.png"]
    item = Item(
        item_id=str(number),
        image_id=image_id,
        question=field(record, "question"),
        path=find_image([images], names, where),
    )
    item.check()
    return MmhalQuestion(
        item,
        field(record, "question_type"),
        tuple(map(str, record.get("image_content") or ())),
        field(record, "gt_answer"),
    )


def rating_request(question: MmhalQuestion, answer: str) -> RubricRequest:
    """What the judge is asked; no image, as published."""
    values: Mapping[str, Any] = {
        "image_content": ", ".join(question.image_content),
        "question": question.item.question,
        "reference": question.reference,
        "response": answer,
    }
    return RubricRequest(RUBRIC, values, LOWEST, HIGHEST)


def score(ratings: Sequence[Rating], paper: bool = False, seed: int = 0) -> MmhalScores:
    """Scores of some ratings.

    Args:
        paper: an unreadable rating is 0.
    """
    unread = 0 if paper else None
    values = [unread if one.rating is None else one.rating for one in ratings]
    readable = [value for value in values if value is not None]
    return MmhalScores(
        mean(readable, seed),
        share([value < HALLUCINATES_BELOW for value in readable]),
        sum(one.rating is None for one in ratings),
    )


def parts(
    ratings: Mapping[str, Rating], paper: bool = False
) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Score and hallucination rate item by item: what it adds to numerator and denominator;
    0 and 0 if unreadable.
    """
    unread = 0 if paper else None
    values = {item: unread if one.rating is None else one.rating for item, one in ratings.items()}
    below = {item: float(value is not None) for item, value in values.items()}
    score = {item: float(value or 0) for item, value in values.items()}
    wrong = {
        item: float(value is not None and value < HALLUCINATES_BELOW)
        for item, value in values.items()
    }
    return {"score": (score, below), "hallucination": (wrong, below)}


def score_by_type(ratings: Sequence[Rating], paper: bool = False) -> dict[str, MmhalScores]:
    """Scores of each question type, in the order of the file."""
    return {
        kind: score([one for one in ratings if one.question_type == kind], paper)
        for kind in dict.fromkeys(one.question_type for one in ratings)
    }
