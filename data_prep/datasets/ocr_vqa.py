"""OCR-VQA: one JSON object of book covers, each with several questions and one answer to each.

    dataset.json  {"0001847670": {"imageURL": "http://.../51....jpg",
                                  "questions": ["Who wrote this book?", ...],
                                  "answers": ["...", ...], "title": "...", "authorName": "...",
                                  "genre": "...", "split": 1}, ...}
                  split: 1 train, 2 validation, 3 test
    images/0001847670.jpg   as the publisher's loadDataset script saves them: the key, with the
                            URL's suffix; other scripts save all as .jpg, which is taken where
                            there is no file with the suffix

Read as a stream (207,572 covers).
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from data_prep.datasets.common import Item, attempt, folder, published, read_members, text
from data_prep.datasets.sources import note
from data_prep.questions import Rejected, SourceQuestion
from reward_fns.errors import UserError

SPLITS = {"train": 1, "val": 2, "test": 3}


def ocr_vqa(
    dataset: str, root: Path, *, split: str = "val", images: str | None = None
) -> Iterator[Item]:
    """OCR-VQA; `split` is train, val or test.

    Raises:
        UserError: another split, or the file is missing.
    """
    if split not in SPLITS:
        raise UserError(f"{dataset} has no split {split!r}: choose one of {', '.join(SPLITS)}")
    path = published(root, "dataset.json", 'ocr-vqa.github.io, "OCR-VQA", "Download"')
    directory = folder(root, images, "images")
    note(directory)  # its names decide on the suffix
    for key, cover in read_members(path):
        place = f"{path.name} cover {key}"
        asked = attempt(dataset, place, _asked, cover, SPLITS[split])
        if isinstance(asked, Rejected):
            yield asked
            continue
        for index in range(asked):
            yield attempt(
                dataset,
                f"{place} question {index}",
                _question,
                dataset,
                key,
                cover,
                index,
                directory,
            )


def _asked(cover: dict[str, Any], split: int) -> int:
    """Number of the cover's questions, 0 if it is of another split."""
    return len(cover["questions"]) if cover["split"] == split else 0


def _question(
    dataset: str, key: str, cover: dict[str, Any], index: int, directory: Path
) -> SourceQuestion:
    answer = str(cover["answers"][index])
    suffix = PurePosixPath(urlsplit(text(cover, "imageURL")).path).suffix or ".jpg"
    if suffix != ".jpg" and not (directory / f"{key}{suffix}").exists():
        suffix = ".jpg" if (directory / f"{key}.jpg").exists() else suffix
    return SourceQuestion(
        question_id=f"{dataset}/{key}-{index}",
        dataset=dataset,
        task="QA",
        question=str(cover["questions"][index]),
        image_id=f"ocr-vqa/{key}",
        image=directory / f"{key}{suffix}",
        ground_truth=answer,
        answers=(answer,),
    )
