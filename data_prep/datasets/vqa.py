"""VQAv2 and OK-VQA: a file of questions and a file of ten annotators' answers,
over COCO's 2014 images.

    questions    {"questions": [{"image_id": 262148, "question": "...",
                                 "question_id": 262148000}, ...], ...}
    annotations  {"annotations": [{"question_id": ...,
                                   "answers": [{"answer": "down", ...} x 10], ...}, ...], ...}
    images       SPLIT/COCO_SPLIT_000000262148.jpg

Both JSON files are loaded whole (VQAv2's validation split: 214,354 questions). The ground truth is
the answer that most annotators gave (`accuracy.most_common`); OK-VQA's file names none. OK-VQA's
`answer` is a stem ("car"); `raw_answer` is what was said ("cars"), and is taken where it stands.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.datasets.common import Item, attempt, folder, published, read_object, text
from data_prep.questions import SourceQuestion
from reward_fns.accuracy import most_common


def vqav2(
    dataset: str, root: Path, *, split: str = "val2014", images: str | None = None
) -> Iterator[Item]:
    """VQAv2; `split` is train2014 or val2014 (the test splits have no answers)."""
    names = (f"v2_OpenEnded_mscoco_{split}_questions.json", f"v2_mscoco_{split}_annotations.json")
    return _read(
        dataset, root, names, split, images, 'visualqa.org, "VQA Download", "Balanced Real Images"'
    )


def ok_vqa(
    dataset: str, root: Path, *, split: str = "val2014", images: str | None = None
) -> Iterator[Item]:
    """OK-VQA; `split` is train2014 or val2014 (its test split)."""
    names = (f"OpenEnded_mscoco_{split}_questions.json", f"mscoco_{split}_annotations.json")
    return _read(dataset, root, names, split, images, 'okvqa.allenai.org, "Download", version 1.1')


def _read(
    dataset: str, root: Path, names: tuple[str, str], split: str, images: str | None, source: str
) -> Iterator[Item]:
    questions, annotations = (published(root, name, source) for name in names)
    directory = folder(root, images, split)
    answers = {
        annotation["question_id"]: annotation.get("answers")
        for annotation in read_object(annotations, "annotations")["annotations"]
        if isinstance(annotation, dict) and isinstance(annotation.get("question_id"), int)
    }
    for index, record in enumerate(read_object(questions, "questions")["questions"]):
        yield attempt(
            dataset,
            f"{questions.name} question {index}",
            _question,
            dataset,
            record,
            answers,
            directory,
            split,
        )


def _question(
    dataset: str, record: dict[str, Any], answers: dict[int, Any], directory: Path, split: str
) -> SourceQuestion:
    number, image = int(record["question_id"]), int(record["image_id"])
    if not answers.get(number):
        raise ValueError(f"question_id {number} has no answers in the annotations")
    given = tuple(str(answer.get("raw_answer") or answer["answer"]) for answer in answers[number])
    return SourceQuestion(
        question_id=f"{dataset}/{number}",
        dataset=dataset,
        task="QA",
        question=text(record, "question"),
        image_id=f"coco/{image}",
        image=directory / f"COCO_{split}_{image:012d}.jpg",
        ground_truth=most_common(given),
        answers=given,
    )
