"""Writing verl's parquet rows: streamed, checked one by one, and the file is
there whole or not at all.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.verl_rows.schema import (
    ImageKind,
    check_question,
    check_sft,
    question_schema,
    sft_schema,
)
from reward_fns.errors import UserError

_GROUP_BYTES = 16 * 2**20  # of images in a row group, at which it is written
_GROUP_ROWS = 1024


class RowWriter:
    """A parquet file that grows row by row under another name, and gets its own when
    the `with` block ends well.

    It keeps the question ids in memory, not the rows. The same rows give the same bytes.
    Without `question_id` several rows may answer one question.

    >>> with question_writer(path, "bytes") as out:   # doctest: +SKIP
    ...     out.write(row)
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        check: Callable[[Mapping[str, Any], str], bytes],
        question_id: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> None:
        self.path = path
        self._schema = schema
        self._check = check
        self._id = question_id
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._seen: set[str] = set()
        self._count = 0
        self._group: list[pa.RecordBatch] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    @property
    def count(self) -> int:
        """Rows so far."""
        return self._count

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row; one that is refused leaves the file as if it had not come.

        Raises:
            UserError: it breaks a rule of the schema, or its question_id stands twice.
        """
        where = f"{self.path} row {self.count}"
        _check_fields(row, self._schema, where)
        size = len(self._check(row, where))
        question_id = self._id(row) if self._id else None
        if question_id in self._seen:
            raise UserError(f"{where}: question_id {question_id} stands twice; ids must be unique")
        try:
            batch = pa.RecordBatch.from_pylist([row], schema=self._schema)
        except (pa.ArrowException, TypeError) as error:
            raise UserError(f"{where}: a value has the wrong type ({error})") from error
        if question_id is not None:
            self._seen.add(question_id)
        self._count += 1
        self._group.append(batch)
        self._bytes += size
        if self._bytes >= _GROUP_BYTES or len(self._group) >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            raise ValueError("write to a RowWriter inside its `with` block")
        self._writer.write_table(
            pa.Table.from_batches(self._group, schema=self._schema).combine_chunks()
        )
        self._group, self._bytes = [], 0

    def __enter__(self) -> "RowWriter":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._beside, self._schema)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        writer = self._writer
        assert writer is not None
        try:
            if kind is None:
                if self._group:
                    self._flush()
                writer.close()
                os.replace(self._beside, self.path)
        finally:
            try:
                writer.close()  # on a full disk this fails too
            finally:
                self._beside.unlink(missing_ok=True)


def _check_fields(row: Mapping[str, Any], schema: pa.Schema, where: str) -> None:
    """Arrow drops what the schema does not name and fills what is missing:
    neither may happen unseen.
    """
    if wrong := sorted(row.keys() ^ set(schema.names)):
        raise UserError(
            f"{where}: columns {', '.join(wrong)} are missing or unknown; it has "
            f"{', '.join(schema.names)}"
        )
    for field in schema:
        if pa.types.is_struct(field.type) and isinstance(row[field.name], Mapping):
            known = {inner.name for inner in field.type}
            if unknown := sorted(row[field.name].keys() - known):
                raise UserError(
                    f"{where}: {field.name} has no field {unknown[0]}; it has "
                    f"{', '.join(sorted(known))}"
                )
    kind = schema.field("images").type.value_type.field(0).name
    if any(image.keys() != {kind} for image in row["images"] or []):
        raise UserError(
            f"{where}: the images of this file are given as {{'{kind}': ...}}, and as nothing else"
        )


def question_writer(path: Path, images: ImageKind) -> RowWriter:
    """A writer of questions (RL training, evaluation) with images as bytes, or by reference."""
    return RowWriter(
        path,
        question_schema(images),
        check_question,
        lambda row: str(row["extra_info"]["question_id"]),
    )


def sft_writer(path: Path, images: ImageKind) -> RowWriter:
    """A writer of SFT rows with images as bytes, or by reference."""
    return RowWriter(path, sft_schema(images), check_sft)
