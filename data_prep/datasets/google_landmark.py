"""Google Landmarks v2: a CSV of images with a landmark's number, and a CSV that gives each
landmark's category page.

    train.csv                    id,url,landmark_id
                                 6e158a47eb2ca3f6,https://...,142820
    train_label_to_category.csv  landmark_id,category
                                 0,http://commons.wikimedia.org/wiki/Category:Haus_Neindorf
    images                       train/6/e/1/6e158a47eb2ca3f6.jpg

The images are read as a stream (4.1 million lines), the 203,094 categories are held. The reference
names the landmark as its category does, decoded: Haus Neindorf.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from data_prep.datasets.common import Item, attempt, folder, published, read_lines, record_of
from data_prep.datasets.detail import detail_question
from data_prep.questions import SourceQuestion
from reward_fns.errors import UserError

_SOURCE = 'GitHub, cvdfoundation/google-landmark, "Download the labels and metadata"'
_IMAGES = ["id", "url", "landmark_id"]
_CATEGORIES = ["landmark_id", "category"]


def google_landmark(
    dataset: str, root: Path, *, split: str = "train", images: str | None = None
) -> Iterator[Item]:
    """Google Landmarks; `split` is train (the published index and test files give no landmark).

    Raises:
        UserError: a file is missing or has other columns.
    """
    listing = published(root, f"{split}.csv", _SOURCE)
    names = dict(_categories(published(root, f"{split}_label_to_category.csv", _SOURCE)))
    directory = folder(root, images, split)
    lines = read_lines(listing)
    _check_header(listing, next(lines, ("", b""))[1], _IMAGES)
    for place, line in lines:
        yield attempt(dataset, place, _question, dataset, line, names, directory)


def _check_header(path: Path, line: bytes, columns: list[str]) -> None:
    if line.decode("utf-8-sig", errors="replace").split(",") != columns:
        raise UserError(
            f"{path} must start with the columns {','.join(columns)}: it is not the published file"
        )


def _categories(path: Path) -> Iterator[tuple[str, str]]:
    lines = read_lines(path)
    _check_header(path, next(lines, ("", b""))[1], _CATEGORIES)
    for place, line in lines:
        try:
            record = record_of(line, _CATEGORIES)
        except ValueError as error:
            raise UserError(f"{path.parent / place} {error}: fetch it anew") from error
        # The name may hold a slash: Sowjetischer_Ehrenfriedhof_Baruth/Mark.
        name = record["category"].rpartition("/wiki/")[2].removeprefix("Category:")
        yield record["landmark_id"], unquote(name).replace("_", " ")


def _question(dataset: str, line: bytes, names: dict[str, str], directory: Path) -> SourceQuestion:
    record = record_of(line, _IMAGES)
    image, landmark = record["id"], record["landmark_id"]
    if len(image) < 3:
        raise ValueError(f"id {image!r} is no image id")
    if landmark not in names:
        raise ValueError(f"landmark_id {landmark} has no category")
    question_id = f"{dataset}/{image}"
    return SourceQuestion(
        question_id=question_id,
        dataset=dataset,
        task="Detail",
        question=detail_question(question_id, "landmark"),
        image_id=f"google-landmark/{image}",
        image=directory / image[0] / image[1] / image[2] / f"{image}.jpg",
        ground_truth=f"The landmark is {names[landmark]}.",
        answers=(names[landmark],),
    )
