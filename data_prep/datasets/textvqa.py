"""TextVQA: one JSON file with questions and ten answers each, over images of OpenImages.

    TextVQA_0.5.1_SPLIT.json  {"data": [{"question": "...", "question_id": 34602,
                                         "image_id": "003a8ae2ef43b901",
                                         "answers": ["dakota", ... x 10], ...}, ...], ...}
    images                    train_images/IMAGE_ID.jpg for train and val

The file is loaded whole (train: 34,602 questions). The test split has no answers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.datasets.common import Item, attempt, folder, published, read_object, text
from data_prep.questions import SourceQuestion
from reward_fns.accuracy import most_common


def textvqa(
    dataset: str, root: Path, *, split: str = "val", images: str | None = None
) -> Iterator[Item]:
    """TextVQA; `split` is train or val."""
    path = published(root, f"TextVQA_0.5.1_{split}.json", 'textvqa.org, "Dataset", v0.5.1')
    directory = folder(root, images, "train_images")
    for index, record in enumerate(read_object(path, "data")["data"]):
        yield attempt(dataset, f"{path.name} item {index}", _question, dataset, record, directory)


def _question(dataset: str, record: dict[str, Any], directory: Path) -> SourceQuestion:
    image = text(record, "image_id")
    answers = tuple(str(answer) for answer in record["answers"])
    return SourceQuestion(
        question_id=f"{dataset}/{int(record['question_id'])}",
        dataset=dataset,
        task="QA",
        question=text(record, "question"),
        image_id=f"openimages/{image}",
        image=directory / f"{image}.jpg",
        ground_truth=most_common(answers),
        answers=answers,
    )
