"""POPE: is a named object in the image, where the absent ones are random, popular, or often
seen beside what is there.

Both shapes that circulate are read: JSON lines, and one JSON array; also the copy of 2,910
lines. A question is {"question_id", "image", "text", "label"}. Scores are those of `yes_no`,
with yes as the positive answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.benchmarks.items import Item, field, find_image, read_records
from eval.benchmarks.yes_no import YesNo, YesNoScores, read_yes_no, score
from reward_fns.errors import UserError

SAMPLINGS = ("random", "popular", "adversarial")


@dataclass(frozen=True)
class PopeQuestion:
    """One question with its truth, "yes" or "no", and how its object was drawn."""

    item: Item
    sampling: str
    truth: str


def read_questions(directory: Path, images: Path | None = None) -> list[PopeQuestion]:
    """The questions of every sampling whose file `*_SAMPLING.json` (or .jsonl) the directory has.

    Args:
        images: folder of the images; None to read the questions alone, which cannot be asked then.

    Raises:
        UserError: none has a file, or a record is no such question.
    """
    found: list[PopeQuestion] = []
    for sampling in SAMPLINGS:
        for path in sorted(directory.glob(f"*{sampling}.json*")):
            found += _of_file(path, sampling, images)
    if not found:
        raise UserError(
            f"no file *_random.json, *_popular.json or *_adversarial.json in {directory}: "
            "see eval/benchmarks/README.md"
        )
    return found


def _of_file(path: Path, sampling: str, images: Path | None) -> list[PopeQuestion]:
    found = []
    for number, record in enumerate(read_records(path)):
        where = f"{path} record {number}"
        truth = field(record, "label", where).strip().lower()
        if truth not in ("yes", "no"):
            raise UserError(f"{where}: label is {truth!r}; it must be yes or no")
        image = field(record, "image", where)
        item = Item(
            item_id=f"{sampling}-{field(record, 'question_id', where)}",
            image_id=image,
            question=field(record, "text", where),
            path=find_image([images], [image], where) if images else None,
            yes_no=True,
        )
        found.append(PopeQuestion(item, sampling, truth))
    return found


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
