"""The questions of a run: what a dataset adapter yields, and the parquet
file that every step walks.

`questions.parquet` holds one row a question, in the order in which all other
files of the run follow:

    question_id, dataset, task, question, image_id, image_path | null, image_bytes | null,
    ground_truth, answers, use_for | null

Exactly one of image_path and image_bytes is set. Rows are written and read in groups, so that
memory does not grow with their number.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_prep.verl_rows.image_files import check_picture, read_file
from reward_fns.errors import UserError

ROW_GROUP = 256
SPLITS = ("train", "sft", "selection", "evaluation")


@dataclass(frozen=True)
class SourceQuestion:
    """One question about one image, as its publisher gives it.

    Attributes:
        question_id: unique in the run; an adapter puts its dataset's tag in front.
        dataset: tag, the `data_source` of verl's rows.
        task: "QA" or "Detail".
        question: without format instruction and without image mark.
        image_id: the same for all questions about one picture, over all datasets that share it.
        image: the encoded file, or where it lies.
        ground_truth: reference in the dataset's own form.
        answers: all accepted or annotated answers, for the dataset's own
            accuracy rule; may be empty.
        use_for: one of `SPLITS` where the configuration says so for its whole
            dataset; None leaves it to the step `splits`.
    """

    question_id: str
    dataset: str
    task: str
    question: str
    image_id: str
    image: Path | bytes
    ground_truth: str
    answers: tuple[str, ...] = ()
    use_for: str | None = None


@dataclass(frozen=True)
class Rejected:
    """A record that an adapter cannot read: it is named and counted, and the others go on.

    Attributes:
        place: file and line, row or key, so that a person finds it.
        reason: a category of few words, counted ("malformed record", "no question", ...).
        detail: what is wrong with this one.
    """

    dataset: str
    place: str
    reason: str
    detail: str = ""


class UnreadableImage(UserError):
    """The image is missing or cannot be decoded."""


def image_bytes(question: SourceQuestion) -> bytes:
    """The encoded image, decoded once to see that it is whole.

    Raises:
        UnreadableImage: missing, no image, or torn; names the file or question.
    """
    image = question.image
    where = image if isinstance(image, Path) else f"the image of {question.question_id}"
    try:
        content = read_file(image) if isinstance(image, Path) else image
        check_picture(content, decode=True)
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"{where} cannot be read ({error})") from error
    return content


def write_questions(path: Path, questions: Iterable[SourceQuestion]) -> int:
    """Write the questions as they come, whole or not at all; returns their number."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(
        [
            *(
                (name, pyarrow.string())
                for name in ("question_id", "dataset", "task", "question", "image_id")
            ),
            ("image_path", pyarrow.string()),
            ("image_bytes", pyarrow.binary()),
            ("ground_truth", pyarrow.string()),
            ("answers", pyarrow.list_(pyarrow.string())),
            ("use_for", pyarrow.string()),
        ]
    )
    count, rows = 0, []
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with pyarrow.parquet.ParquetWriter(beside, schema) as writer:
            for question in questions:
                rows.append(_row(question))
                count += 1
                if len(rows) == ROW_GROUP:
                    writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                    rows.clear()
            if rows:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return count


def _row(question: SourceQuestion) -> dict[str, object]:
    in_file = isinstance(question.image, Path)
    return {
        "question_id": question.question_id,
        "dataset": question.dataset,
        "task": question.task,
        "question": question.question,
        "image_id": question.image_id,
        "image_path": str(question.image) if in_file else None,
        "image_bytes": None if in_file else question.image,
        "ground_truth": question.ground_truth,
        "answers": list(question.answers),
        "use_for": question.use_for,
    }


def read_questions(path: Path, images: bool = True) -> Iterator[SourceQuestion]:
    """The questions in file order, a row group at a time.

    Args:
        images: False leaves the bytes unread (`image` is then b"" where the file holds them), for
            steps that look at text only.

    Raises:
        UserError: the file is missing or not a readable parquet.
    """
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        raise UserError(f"no questions at {path}: make them with `python -m data_prep questions`")
    columns = [name for name in _COLUMNS if images or name != "image_bytes"]
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP, columns=columns):
                for row in batch.to_pylist():
                    image = (
                        Path(row["image_path"])
                        if row["image_path"] is not None
                        else row.get("image_bytes", b"")
                    )
                    yield SourceQuestion(
                        **{name: row[name] for name in _TEXT},
                        image=image,
                        answers=tuple(row["answers"]),
                        use_for=row["use_for"],
                    )
    except (pyarrow.ArrowException, KeyError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a questions file ({reason}): make it anew") from error


def pictures_state(path: Path) -> str:
    """A digest of the names and sizes of all pictures that a questions file names.

    Their times do not count, so that a copied data set is the same one; those in the file
    itself are in its own digest.

    Raises:
        UserError: as `read_questions`.
    """
    import pyarrow
    import pyarrow.parquet

    digest = hashlib.sha256()
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["image_path"]):
                for name in batch.column(0).to_pylist():
                    if name is not None:
                        digest.update(f"{name}\0{_size(name)}\n".encode(errors="surrogateescape"))
    except (OSError, pyarrow.ArrowException, KeyError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a questions file ({reason}): make it anew") from error
    return digest.hexdigest()


def _size(name: str) -> int:
    """In bytes, -1 for a file that is not there."""
    try:
        return os.stat(name).st_size
    except OSError:
        return -1


_TEXT = ("question_id", "dataset", "task", "question", "image_id", "ground_truth")
_COLUMNS = (*_TEXT, "image_path", "image_bytes", "answers", "use_for")
