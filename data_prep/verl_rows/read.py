"""Questions from a verl parquet (one row a question), as every protocol needs them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.verl_rows.schema import COLUMNS, NEEDED, chat_content, check_question
from data_prep.verl_rows.stored import StoredImage, StoredImages
from reward_fns.errors import UserError

_BATCH = 64  # rows held at a time: an image may be megabytes


@dataclass(frozen=True)
class Question:
    """One question about one image. The fields with a default are None or empty where the
    file does not have them.
    """

    question_id: str
    dataset: str
    task: str  # "QA" | "Detail"
    question: str
    image_id: str
    entity: str
    image: bytes  # PNG or JPEG
    messages: list[dict[str, Any]]  # chat turns, the content of each in the parts of `chat_content`
    ground_truth: str
    subset: str = ""  # "entailment" | "contradiction" | "neutral" | "unpaired"
    share_true: float | None = None  # [0, 1]
    vote_margin: float | None = None  # [0, 1]
    entity_rarity: float | None = None  # >= 0
    entity_count: int | None = None  # >= 0
    answers: tuple[str, ...] = ()


class _StoredQuestion(Question):
    """A question whose image is read from its file each time that it is asked for."""

    @property
    def image(self) -> bytes:
        """PNG or JPEG. Raises UserError if the file was written again or is gone."""
        held: StoredImage | bytes = self.__dict__["_held"]
        return held.read() if isinstance(held, StoredImage) else held

    @image.setter
    def image(self, held: StoredImage | bytes) -> None:
        self.__dict__["_held"] = held


_POCKET = "make the pocket ones with `python -m data_prep.pocket data`"


def read_rows(
    path: Path,
    columns: Sequence[str] = COLUMNS,
    kind: str = "questions",
    remedy: str = _POCKET,
) -> Iterator[dict[str, Any]]:
    """The rows of a parquet as dicts, a few in memory at a time, not yet checked.

    Args:
        columns, kind: what the file must have, and what its rows are called.
        remedy: what makes a missing file.

    Raises:
        UserError: the file is missing or corrupt, or lacks a column.
    """
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        raise UserError(f"no {kind} at {path}: {remedy}")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if missing := [column for column in columns if column not in file.schema_arrow.names]:
                raise UserError(
                    f"{path} lacks the column {missing[0]}; a file of {kind} has "
                    f"{', '.join(columns)}"
                )
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} holds text that is no UTF-8 ({error}): make it anew") from error
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is not a readable parquet file ({reason}): make it anew"
        ) from error


def load_questions(path: Path, limit: int | None = None) -> list[Question]:
    """Read a parquet of questions; `limit` keeps the first so many of each dataset,
    so that none is left out.

    Every image is opened once, to see that it can be read, and then left in the
    file until it is asked for.

    Raises:
        UserError: as `read_rows`; a row breaks a rule of the schema; or a question_id stands twice.
    """
    questions: list[Question] = []
    images: StoredImages | None = None
    seen: set[str] = set()
    per_dataset: Counter[str] = Counter()
    for number, row in enumerate(read_rows(path)):
        dataset = row["data_source"]
        if limit is not None and per_dataset[dataset] >= limit:
            continue
        images = images or StoredImages(path)
        question = _question(row, f"{path} row {number}", images[number])
        if question.question_id in seen:
            raise UserError(
                f"{path} row {number}: question_id {question.question_id} stands "
                "twice; ids must be unique"
            )
        seen.add(question.question_id)
        per_dataset[dataset] += 1
        questions.append(question)
    if not questions:
        raise UserError(f"{path} holds no questions")
    return questions


def _question(row: dict[str, Any], where: str, image: StoredImage) -> Question:
    check_question(row, where)
    info = row["extra_info"]
    return _StoredQuestion(
        dataset=row["data_source"],
        image=image,  # type: ignore[arg-type]  # the field is a property, whose setter takes it
        messages=[
            {"role": turn["role"], "content": chat_content(turn["content"])}
            for turn in row["prompt"]
        ],
        ground_truth=row["reward_model"]["ground_truth"],
        subset=info.get("subset") or "",
        share_true=info.get("share_true"),
        vote_margin=info.get("vote_margin"),
        entity_rarity=info.get("entity_rarity"),
        entity_count=info.get("entity_count"),
        answers=tuple(info.get("answers") or ()),
        **{name: str(info[name]) for name in NEEDED},
    )
