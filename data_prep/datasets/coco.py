"""COCO captions: five captions an image; one Detail question an image.

    captions_SPLIT.json  {"images": [{"id": 391895, "file_name": "000000391895.jpg", ...}, ...],
                          "annotations": [{"image_id": 391895, "id": 770337,
                                           "caption": "..."}, ...], ...}
                         in root or in root/annotations
    images               SPLIT/FILE_NAME

The file is loaded whole (train2017: 118,287 images). The reference is the captions, one a line; an
image without a caption is rejected.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.datasets.common import Item, attempt, folder, published, read_object, text, there
from data_prep.datasets.detail import detail_question
from data_prep.questions import Rejected, SourceQuestion


def coco(
    dataset: str, root: Path, *, split: str = "val2017", images: str | None = None
) -> Iterator[Item]:
    """COCO; `split` is one that has captions: train2017, val2017, train2014 or val2014."""
    name = f"captions_{split}.json"
    if not there(root / name):
        name = f"annotations/{name}"
    path = published(root, name, 'cocodataset.org, "Download", "Train/Val annotations"')
    directory = folder(root, images, split)
    content = read_object(path, "images", "annotations")
    captions: dict[int, list[str]] = defaultdict(list)
    for index, annotation in enumerate(content["annotations"]):
        caption = attempt(dataset, f"{path.name} annotation {index}", _caption, annotation)
        if isinstance(caption, Rejected):
            yield caption
        else:
            captions[caption[0]].append(caption[1])
    for index, record in enumerate(content["images"]):
        yield attempt(
            dataset, f"{path.name} image {index}", _question, dataset, record, captions, directory
        )


def _caption(annotation: dict[str, Any]) -> tuple[int, str]:
    return int(annotation["image_id"]), text(annotation, "caption")


def _question(
    dataset: str, record: dict[str, Any], captions: dict[int, list[str]], directory: Path
) -> SourceQuestion:
    number = int(record["id"])
    given = tuple(captions.get(number, ()))
    if not given:
        raise ValueError(f"image {number} has no caption")
    question_id = f"{dataset}/{number}"
    return SourceQuestion(
        question_id=question_id,
        dataset=dataset,
        task="Detail",
        question=detail_question(question_id, "scene"),
        image_id=f"coco/{number}",
        image=directory / text(record, "file_name"),
        ground_truth="\n".join(given),
        answers=given,
    )
