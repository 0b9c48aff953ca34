"""Which of COCO's objects an image holds: those of its instances, and those that its captions
mention (CHAIR's truth).

Read from `instances_*.json` and `captions_*.json` (COCO 2014, train or val or both), in a
directory or its `annotations`. Captions are read by the same extractor as the answers.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval.benchmarks.extraction import Extractor
from reward_fns.errors import UserError

_WHERE = 'cocodataset.org, "Download", "2014 Train/Val annotations"'


def objects_of_images(
    directory: Path, image_ids: Set[str], extractor: Extractor
) -> dict[str, frozenset[str]]:
    """The objects of each wanted image.

    Args:
        image_ids: COCO's numbers as text.

    Raises:
        UserError: a file is missing, or an image is in none of them.
    """
    found: dict[str, set[str]] = {image: set() for image in image_ids}
    seen: set[str] = set()
    for path, content in _files(directory, "instances"):
        with _of_coco(path):
            names = {one["id"]: one["name"] for one in content["categories"]}
            seen |= {str(one["id"]) for one in content["images"]} & image_ids
            for one in content["annotations"]:
                if (image := str(one["image_id"])) in found:
                    found[image].add(names[one["category_id"]])
    if missing := sorted(image_ids - seen):
        raise UserError(
            f"image {missing[0]} and {len(missing) - 1} more are in no instances file of "
            f"{directory}: put both train and val there ({_WHERE})"
        )
    for image, mentioned in _of_captions(directory, image_ids, extractor).items():
        found[image] |= mentioned
    return {image: frozenset(objects) for image, objects in found.items()}


def _of_captions(directory: Path, image_ids: Set[str], extractor: Extractor) -> dict[str, set[str]]:
    captions: list[tuple[str, str]] = []
    for path, content in _files(directory, "captions"):
        with _of_coco(path):
            captions += [
                (str(one["image_id"]), str(one["caption"]))
                for one in content["annotations"]
                if str(one["image_id"]) in image_ids
            ]
    found: dict[str, set[str]] = defaultdict(set)
    mentioned = extractor.mentions([caption for _, caption in captions])
    for (image, _), objects in zip(captions, mentioned, strict=True):
        found[image] |= set(objects)
    return found


@contextmanager
def _of_coco(path: Path) -> Iterator[None]:
    """What a file lacks that COCO's have is an error that names it: a part of the truth is none."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} holds no annotations of COCO's ({type(error).__name__}: {error}): "
            "fetch it again"
        ) from error


def _files(directory: Path, kind: str) -> Iterator[tuple[Path, Any]]:
    """The contents of each `KIND_*.json`, one at a time: train's instances are 450 MB."""
    paths = sorted(
        [*directory.glob(f"{kind}_*.json"), *directory.glob(f"annotations/{kind}_*.json")]
    )
    if not paths:
        raise UserError(f"no {kind}_*.json in {directory} or its annotations: from {_WHERE}")
    for path in paths:
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is no JSON ({error}): fetch it again") from error
        yield path, content
