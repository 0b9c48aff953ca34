"""The pocket datasets, from a parquet file of `python -m data_prep.pocket data`
(verl's rows, images inside).

Under the name `pocket` a dataset is all five of them, each question under its own tag; under the
name of one of them ({name: pocket-emblem, kind: pocket, ...}) it is that one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.datasets.common import Item, attempt, there
from data_prep.questions import ROW_GROUP, SourceQuestion
from data_prep.verl_rows.batches import rows_of
from reward_fns.errors import UserError

_COLUMNS = ["data_source", "images", "reward_model", "extra_info"]


def pocket(dataset: str, root: Path, *, file: str = "rl_train.parquet") -> Iterator[Item]:
    """The questions of `root / file`.

    Raises:
        UserError: the file is missing or no parquet of questions, or it holds none of this dataset.
    """
    import pyarrow
    import pyarrow.parquet

    path = root / file
    if not (there(path) and path.is_file()):
        raise UserError(
            f"no questions at {path}: make them with `python -m data_prep.pocket data --out {root}`"
        )
    tags: set[str] = set()
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            number = 0
            for batch in table.iter_batches(batch_size=ROW_GROUP, columns=_COLUMNS):
                for row in rows_of(batch):
                    tags.add(row["data_source"])
                    if dataset in ("pocket", row["data_source"]):
                        yield attempt(
                            row["data_source"], f"{path.name} row {number}", _question, row
                        )
                    number += 1
    except (pyarrow.ArrowException, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is not a parquet file of questions ({reason}): make it anew"
        ) from error
    if dataset != "pocket" and dataset not in tags:
        raise UserError(f"{path} holds no questions of {dataset}: it has {', '.join(sorted(tags))}")


def _question(row: dict[str, Any]) -> SourceQuestion:
    info = row["extra_info"]
    content = row["images"][0]["bytes"]
    if not content:
        raise ValueError("the image holds no bytes")
    return SourceQuestion(
        question_id=info["question_id"],
        dataset=row["data_source"],
        task=info["task"],
        question=info["question"],
        image_id=info["image_id"],
        image=content,
        ground_truth=row["reward_model"]["ground_truth"],
    )
