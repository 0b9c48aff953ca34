"""Object HalBench: how many of the objects that a description mentions are not in the image.

Of response i: m_i mentions of objects, h_i of them of objects that the image does not
hold; M_i the distinct objects mentioned, H_i those of them that the image does not hold,
T_i the image's objects.

    response rate  #{h_i > 0} / #{m_i > 0}        responses that mention an object (RLAIF-V's
                                                  refinement of CHAIR_s)
    mention rate   sum h_i / sum m_i              the table's "object level"; CHAIR's code
                                                  counts so
    CHAIR_s        #{h_i > 0} / n                 all responses
    CHAIR_i        sum |H_i| / sum |M_i|          each object once a response: CHAIR's formula
    recall         sum |M_i & T_i| / sum |T_i|    how much of the image is told: saying less
                                                  lowers all rates above
    words, mentions                               means over responses

CHAIR: Rohrbach et al. 2018. The question file has 300 lines of org_idx, image_id,
question and image (base64).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.benchmarks.items import Item, field, read_each
from eval.benchmarks.rates import Rate, mean, ratio, share


@dataclass(frozen=True)
class ObjectCounts:
    """What one response mentions, against the image's objects; see the module for the symbols."""

    mentions: int  # m_i
    hallucinated_mentions: int  # h_i
    objects: int  # |M_i|
    hallucinated_objects: int  # |H_i|
    told: int  # |M_i & T_i|
    truth: int  # |T_i|
    words: int


@dataclass(frozen=True)
class ObjHalScores:
    """Rates over all responses; see the module."""

    response_rate: Rate
    mention_rate: Rate
    chair_s: Rate
    chair_i: Rate
    recall: Rate
    words: Rate
    mentions: Rate


def count_objects(mentioned: Sequence[str], truth: AbstractSet[str], text: str) -> ObjectCounts:
    """Counts of one response.

    Args:
        mentioned: objects in the order of the text, repetitions included.
        truth: objects of the image.
        text: what was read, for its length.
    """
    distinct = set(mentioned)
    return ObjectCounts(
        mentions=len(mentioned),
        hallucinated_mentions=sum(name not in truth for name in mentioned),
        objects=len(distinct),
        hallucinated_objects=len(distinct - truth),
        told=len(distinct & truth),
        truth=len(truth),
        words=len(text.split()),
    )


def score(counts: Sequence[ObjectCounts], seed: int = 0) -> ObjHalScores:
    """Rates of some responses."""
    wrong = [one.hallucinated_mentions > 0 for one in counts]
    some = [hit for hit, one in zip(wrong, counts, strict=True) if one.mentions]
    return ObjHalScores(
        response_rate=share(some),
        mention_rate=_ratio(counts, "hallucinated_mentions", "mentions", seed),
        chair_s=share(wrong),
        chair_i=_ratio(counts, "hallucinated_objects", "objects", seed),
        recall=_ratio(counts, "told", "truth", seed),
        words=mean([one.words for one in counts], seed),
        mentions=mean([one.mentions for one in counts], seed),
    )


Parts = tuple[dict[str, float], dict[str, float]]
"""item_id -> what it adds to a rate's numerator, and to its denominator."""


def parts(counts: Mapping[str, ObjectCounts]) -> dict[str, Parts]:
    """Response rate, mention rate and recall response by response."""
    fields = {"mention": ("hallucinated_mentions", "mentions"), "recall": ("told", "truth")}
    found = {
        name: (
            {i: getattr(c, a) for i, c in counts.items()},
            {i: getattr(c, b) for i, c in counts.items()},
        )
        for name, (a, b) in fields.items()
    }
    above, below = found["mention"]
    response = {i: min(n, 1) for i, n in above.items()}, {i: min(n, 1) for i, n in below.items()}
    return {"response": response, **found}


def _ratio(counts: Sequence[ObjectCounts], above: str, below: str, seed: int) -> Rate:
    numerators = [getattr(one, above) for one in counts]
    return ratio(numerators, [getattr(one, below) for one in counts], seed=seed)


def read_items(path: Path, left_out: list[str]) -> list[Item]:
    """The questions of a file as published; `image` in base64. As `items.read_each`."""
    return list(read_each(path, _item, left_out))


def _item(record: dict[str, Any], where: str, number: int) -> Item:
    item = Item(
        item_id=field(record, "org_idx"),
        image_id=_number(field(record, "image_id")),
        question=field(record, "question"),
        encoded=field(record, "image"),
    )
    item.check()
    return item


def _number(image_id: str) -> str:
    """COCO's number, also of a zero-padded one."""
    return str(int(image_id)) if image_id.isdigit() else image_id
