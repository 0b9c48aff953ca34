"""POPE: is a named object in the image, where the absent ones are random, popular, or often
seen beside what is there.

Both shapes that circulate are read: JSON lines, and one JSON array; also the copy of 2,910
lines. A question is {"question_id", "image", "text", "label"}. Scores are those of `yes_no`,
with yes as the positive answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eval.benchmarks.items import BrokenRecordError, Item, field, find_image, read_each
from eval.benchmarks.yes_no import YesNo, YesNoScores, read_yes_no, score
from reward_fns.errors import UserError

SAMPLINGS = ("random", "popular", "adversarial")


@dataclass(frozen=True)
class PopeQuestion:
    """One question with its truth, "yes" or "no", and how its object was drawn."""

    item: Item
    sampling: str
    truth: str


def read_questions(
    directory: Path, images: Path | None = None, left_out: list[str] | None = None
) -> list[PopeQuestion]:
    """The questions of every sampling whose file `*_SAMPLING.json` (or .jsonl) the directory has.

    Args:
        images: folder of the images; None to read the questions alone, which cannot be asked then.
        left_out: takes a line for each record that is broken.

    Raises:
        UserError: none has a file, or one has several; or as `items.read_each`.
    """
    found: list[PopeQuestion] = []
    for sampling in SAMPLINGS:
        paths = sorted(directory.glob(f"*{sampling}.json")) + sorted(
            directory.glob(f"*{sampling}.jsonl")
        )
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            raise UserError(
                f"{directory} holds {names}: their questions have the same ids; keep one"
            )
        for path in paths:
            read = partial(_question, sampling, images)
            found += read_each(path, read, [] if left_out is None else left_out)
    if not found:
        raise UserError(
            f"no file *_random.json, *_popular.json or *_adversarial.json in {directory}: "
            "see eval/benchmarks/README.md"
        )
    return found


def _question(
    sampling: str, images: Path | None, record: dict[str, Any], where: str, number: int
) -> PopeQuestion:
    truth = field(record, "label").strip().lower()
    if truth not in ("yes", "no"):
        raise BrokenRecordError(f"label is {truth[:20]!r}; it must be yes or no")
    image = field(record, "image")
    item = Item(
        item_id=f"{sampling}-{field(record, 'question_id')}",
        image_id=image,
        question=field(record, "text"),
        path=find_image([images], [image], where) if images else None,
        yes_no=True,
    )
    if images:
        item.check()
    return PopeQuestion(item, sampling, truth)


def score_pope(
    questions: list[PopeQuestion], responses: Mapping[str, str], seed: int = 0
) -> dict[str, YesNoScores]:
    """Scores by sampling, and of "all".

    Args:
        responses: item_id -> response, of every question.
    """
    read = [
        (
            one.sampling,
            YesNo(one.truth, read_yes_no(responses[one.item.item_id]), one.item.image_id),
        )
        for one in questions
    ]
    found = {
        sampling: score([answer for name, answer in read if name == sampling], seed=seed)
        for sampling in dict.fromkeys(name for name, _ in read)
    }
    return found | {"all": score([answer for _, answer in read], seed=seed)}


def right(questions: list[PopeQuestion], responses: Mapping[str, str]) -> dict[str, float]:
    """item_id -> 1 for an answer that is right, 0 for a wrong or unreadable one."""
    return {
        one.item.item_id: float(read_yes_no(responses[one.item.item_id]) == one.truth)
        for one in questions
    }
