"""GQA: one JSON object of questions with one answer each, over images of Visual Genome.

    SPLIT_balanced_questions.json  {"201307251": {"imageId": "2354786", "question": "...",
                                                  "answer": "yes", "fullAnswer": "Yes, ...",
                                                  ...}, ...}
    images/2354786.jpg

Read as a stream (train_all: 14.3 million questions).

Half of Visual Genome's images are COCO's, under other numbers. With Visual Genome's own
`image_data.json` in root ([{"image_id": 2354786, "coco_id": 524313 | null, ...}, ...]) these get
COCO's image id, so that a picture which both GQA and VQAv2 ask about falls into one split; without
the file nobody can know that it is the same picture.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.datasets.common import (
    Item,
    attempt,
    folder,
    published,
    read_array,
    read_members,
    text,
    there,
)
from data_prep.questions import SourceQuestion
from reward_fns.errors import UserError


def gqa(
    dataset: str, root: Path, *, split: str = "val_balanced", images: str | None = None
) -> Iterator[Item]:
    """GQA; `split` is train_balanced, val_balanced or testdev_balanced."""
    path = published(root, f"{split}_questions.json", 'GQA at Stanford, "Download", "Questions"')
    directory = folder(root, images, "images")
    mapping = root / "image_data.json"
    coco = _coco_ids(mapping) if there(mapping) else {}
    for number, record in read_members(path):
        yield attempt(
            dataset,
            f"{path.name} question {number}",
            _question,
            dataset,
            number,
            record,
            directory,
            coco,
        )


def _coco_ids(path: Path) -> dict[str, int]:
    found = {}
    for index, image in enumerate(read_array(path)):
        try:
            if image["coco_id"] is not None:
                found[str(image["image_id"])] = int(image["coco_id"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} item {index} lacks image_id or coco_id: fetch it anew"
            ) from error
    return found


def _question(
    dataset: str, number: str, record: dict[str, Any], directory: Path, coco: dict[str, int]
) -> SourceQuestion:
    image, answer = text(record, "imageId"), text(record, "answer")
    return SourceQuestion(
        question_id=f"{dataset}/{number}",
        dataset=dataset,
        task="QA",
        question=text(record, "question"),
        image_id=f"coco/{coco[image]}" if image in coco else f"visual-genome/{image}",
        image=directory / f"{image}.jpg",
        ground_truth=answer,
        answers=(answer,),
    )
