"""Step `questions`: every dataset's questions into one file, records that cannot be read named and counted."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.pipeline.context import Context
from data_prep.pipeline.step_log import Counts, Failure, RecordFile
from data_prep.questions import Rejected, SourceQuestion, write_questions
from reward_fns.errors import UserError

TASKS = ("QA", "Detail")


def identity(context: Context) -> Mapping[str, Any]:
    """Names, sizes and times of all files under the datasets' roots: a changed file makes the step run again."""
    return {
        "files": [
            _state(Path(str(value)))
            for dataset in context.config.datasets
            for value in dataset.values()
        ]
    }


def _state(path: Path) -> str | None:
    if path.is_file():
        paths = [path]
    elif path.is_dir():
        paths = sorted(Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    else:
        return None
    digest = hashlib.sha256()
    for file in paths:
        if file.exists():
            state = file.stat()
            digest.update(
                f"{file.relative_to(path)}\0{state.st_size}\0{state.st_mtime_ns}\n".encode()
            )
    return digest.hexdigest()


def run(context: Context) -> Counts:
    """Write `questions.parquet`, and the list of rejected records."""
    dropped: Counter[str] = Counter()
    with RecordFile(context.failures) as failures:

        def reject(failure: Failure) -> None:
            dropped[failure.reason] += 1
            failures.add(failure)

        taken = write_questions(
            context.run / "questions.parquet", _accepted(context.config.datasets, reject)
        )
    if not taken:
        reasons = (
            ", ".join(f"{count} x {reason}" for reason, count in dropped.items())
            or "the datasets are empty"
        )
        raise UserError(f"no question could be read ({reasons}): see {context.failures}")
    return Counts(taken + dropped.total(), taken, dict(sorted(dropped.items())))


def _accepted(
    datasets: Sequence[Mapping[str, Any]], reject: Callable[[Failure], None]
) -> Iterator[SourceQuestion]:
    from data_prep.datasets import open_dataset

    seen: set[str] = set()
    for options in datasets:
        for item in tqdm(open_dataset(options), desc=f"questions: {options.get('name')}", unit="q"):
            if isinstance(item, Rejected):
                reject(Failure(item.dataset, item.place, item.reason, item.detail))
            elif reason := _unusable(item, seen):
                reject(Failure(item.dataset, item.question_id, reason))
            else:
                seen.add(item.question_id)
                yield item


def _unusable(question: SourceQuestion, seen: set[str]) -> str | None:
    texts = (
        question.question_id,
        question.question,
        question.image_id,
        question.ground_truth,
        *question.answers,
    )
    if not all(_is_unicode(text) for text in texts):
        return "text that is not valid Unicode"
    if not question.question_id or not question.question.strip() or not question.image_id:
        return "no question, id or image"
    if question.task not in TASKS:
        return f"task is neither {' nor '.join(TASKS)}"
    return "question_id stands twice" if question.question_id in seen else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
