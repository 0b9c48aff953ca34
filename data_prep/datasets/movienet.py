"""MovieNet: frames of films, with what is known of the film and of the scene.

    annotation/tt1210166.json  {"imdb_id": "tt1210166",
                                "scene": [{"shot": [0, 1], "place_tag": [...] | null,
                                           "action_tag": [...] | null, ...}],
                                "story": [{"shot": [60, 424], "description": "...", ...}],
                                "cast": [...], ...}
    meta/tt1210166.json        {"title": "Moneyball (2011)", "genres": ["Drama"], ...}
                               (may be missing)
    keyframes/tt1210166/shot_0060_img_1.jpg   three a shot, 0 to 2; the middle one is asked about
                                              (or 240P/tt1210166/..., as the archive unpacks)

One film is read at a time. Of each film that has frames, `per_film` shots are taken: the middles
of so many equal parts of its shots; one is the middle shot (the paper's 1,131 questions are about
one for each of 1,100 films). The reference names the film and says what is annotated of the shot:
the story's paragraph, place, action. A shot range holds both its ends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.datasets.common import Item, attempt, published, read_object, there
from data_prep.datasets.detail import detail_question
from data_prep.datasets.sources import note
from data_prep.questions import Rejected, SourceQuestion
from reward_fns.errors import UserError

_SOURCE = 'MovieNet, "Data" and "Annotation": keyframes, meta data and annotation of movie1K'


def movienet(
    dataset: str, root: Path, *, per_film: int = 1, images: str | None = None
) -> Iterator[Item]:
    """MovieNet; `per_film` frames of each film.

    Raises:
        UserError: `per_film` below 1, or a folder is missing.
    """
    if per_film < 1:
        raise UserError(f"{dataset}: per_film must be at least 1, got {per_film}")
    frames = published(root, images or _frames(root), _SOURCE)
    for path in sorted(published(root, "annotation", _SOURCE).glob("*.json")):
        film = path.stem
        note(path)
        note(frames / film)
        try:
            annotation = read_object(path)
            meta = (
                read_object(root / "meta" / path.name) if there(root / "meta" / path.name) else {}
            )
        except UserError as error:
            yield Rejected(dataset, path.name, "malformed record", str(error))
            continue
        shots = sorted((frames / film).glob("shot_*_img_1.jpg"))
        if not shots:
            yield Rejected(
                dataset, path.name, "no keyframes", f"{frames / film} holds no shot_*_img_1.jpg"
            )
        for part in range(min(per_film, len(shots))):
            frame = shots[(2 * part + 1) * len(shots) // (2 * min(per_film, len(shots)))]
            yield attempt(
                dataset,
                f"{path.name} {frame.stem}",
                _question,
                dataset,
                film,
                frame,
                annotation,
                meta,
            )


def _frames(root: Path) -> str:
    """The folder of the frames: the published archive has them in 240P."""
    names = ("keyframes/240P", "keyframes", "240P")
    return next((name for name in names if there(root / name)), "keyframes")


def _question(
    dataset: str, film: str, frame: Path, annotation: dict[str, Any], meta: dict[str, Any]
) -> SourceQuestion:
    shot = int(frame.stem.split("_")[1])
    title = meta.get("title") or ""
    said = [f"This is a frame of the film {title}." if title else ""]
    genres = _tags(meta.get("genres"))
    said += [f"Genre: {', '.join(genres)}." if genres else ""]
    said += [
        f"Story: {part['description'].strip()}" for part in _covering(annotation, "story", shot)
    ]
    for field, label in (("place_tag", "Place"), ("action_tag", "Action")):
        tags = [
            tag for scene in _covering(annotation, "scene", shot) for tag in _tags(scene.get(field))
        ]
        said += [f"{label}: {', '.join(tags)}."] if tags else []
    known = " ".join(part for part in said if part)
    if not known:
        raise ValueError(f"nothing is known of film {film} at shot {shot}")
    question_id = f"{dataset}/{film}-{shot:04d}"
    return SourceQuestion(
        question_id=question_id,
        dataset=dataset,
        task="Detail",
        question=detail_question(question_id, "film"),
        image_id=f"movienet/{film}/{frame.stem}",
        image=frame,
        ground_truth=known,
        answers=(title,) if title else (),
    )


def _tags(value: list[str] | str | None) -> list[str]:
    """Tags, of which a single one may stand without a list."""
    return [value] if isinstance(value, str) else list(value or ())


def _covering(annotation: dict[str, Any], field: str, shot: int) -> list[dict[str, Any]]:
    return [
        part for part in annotation.get(field) or () if part["shot"][0] <= shot <= part["shot"][1]
    ]
