"""What image a question is shown with: its own, or one that does not answer it, to see
whether the confidence falls.

as_is   the question's own image
none    a grey image of the same size: the prompts of many multimodal models need an
        image, so there always is one
other   the image of another question of the dataset, a permutation; never one with the same bytes
noise   noise of the same size, each value uniform in 0 ... 255

All are a function of the seed and the questions asked. Answers are judged against the question as
it was, its own image included.
"""

import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data_prep.engines.chat import open_image
from data_prep.verl_rows import Question
from reward_fns.errors import UserError

AS_IS = "as_is"
IMAGES = (AS_IS, "none", "other", "noise")
_GREY = 128


class ShownImages:
    """Questions as the model is shown them; an image is made when its question is asked for.

    Args:
        kind: one of `IMAGES`.
        questions: all that are asked: `other` draws from them.
        seed: of `other` and `noise`.

    Raises:
        UserError: `other`, and more than half of the questions of a dataset
            have one and the same image.
    """

    def __init__(self, kind: str, questions: Sequence[Question], seed: int) -> None:
        self._kind, self._seed = kind, seed
        self._other = other_images(questions, seed) if kind == "other" else {}

    def __call__(self, question: Question) -> Question:
        """The question with the image that the model is shown."""
        if self._kind == AS_IS:
            return question
        if self._kind == "other":
            return replace(question, image=self._other[question.question_id])
        width, height = _size(question.image)
        if self._kind == "none":
            pixels = np.full((height, width, 3), _GREY, dtype=np.uint8)
        else:
            rng = _generator(self._seed, f"noise:{question.question_id}")
            pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        return replace(question, image=_png(pixels))

    @property
    def settings(self) -> dict[str, str]:
        """For the records' settings; nothing for `as_is`, so that older
        records stay what they are.
        """
        return {} if self._kind == AS_IS else {"images": self._kind}


def other_images(questions: Sequence[Question], seed: int) -> dict[str, bytes]:
    """question_id -> the image of another question of its dataset, each image
    used as often as before.

    Questions stand in a circle, those with equal images side by side, at random otherwise; each is
    given the image that stands m places on, with m the size of the largest group of equal images.
    That leaves each group behind, and coming round the circle does not reach it again as long as m
    is at most half of the circle. (If it is more, no permutation can do it.)

    Raises:
        UserError: more than half of the questions of a dataset have one and the same image.
    """
    by_dataset: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_dataset[question.dataset].append(question)
    found: dict[str, bytes] = {}
    for dataset, part in by_dataset.items():
        found |= _shifted(dataset, part, _generator(seed, f"other:{dataset}"))
    return found


def _shifted(
    dataset: str, questions: Sequence[Question], rng: np.random.Generator
) -> Mapping[str, bytes]:
    same: dict[bytes, list[Question]] = defaultdict(list)
    for question in questions:
        same[hashlib.sha256(question.image).digest()].append(question)
    largest = max(map(len, same.values()))
    if 2 * largest > len(questions):
        raise UserError(
            f"--images other: {largest} of the {len(questions)} questions of {dataset} have "
            "the same image, so there are not enough others; ask more questions (--limit) "
            "or use none or noise"
        )
    groups = list(same.values())
    circle = [
        groups[g][int(i)]
        for g in rng.permutation(len(groups))
        for i in rng.permutation(len(groups[g]))
    ]
    return {
        question.question_id: circle[(place + largest) % len(circle)].image
        for place, question in enumerate(circle)
    }


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _size(image: bytes) -> tuple[int, int]:
    """Width and height as a model is shown it, upright."""
    opened = open_image(image)
    assert opened is not None  # a question without an image is refused when the file is read
    return opened.size


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
