"""Images that stay in their file until they are asked for: 80,000 photographs are 13
GB, a row group some MB.

A group is read whole and the last two are kept, so questions that are asked in the order of
the file read each once.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from reward_fns.errors import UserError

_Stamp = tuple[int, int]  # time of change, size


@dataclass(frozen=True)
class StoredImage:
    """Where an image lies in a parquet: the row of a row group; `stamp` tells whether the
    file is still the same.
    """

    path: Path
    stamp: _Stamp
    group: int
    row: int

    def read(self) -> bytes:
        """The encoded image.

        Raises:
            UserError: the file was written again, or it or the image's own file is gone.
        """
        from data_prep.verl_rows.schema import image_bytes

        images = _images(self.path, self.stamp, self.group)[self.row].as_py()
        return image_bytes(images[0], f"{self.path} row group {self.group} row {self.row}")


class StoredImages:
    """The images of a parquet of rows, by the number of the row; raises UserError
    where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet

        self._path, self._stamp = path.absolute(), _stamp(path)
        metadata = pyarrow.parquet.read_metadata(path)
        sizes: Sequence[int] = [
            metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)
        ]
        self._starts = [0, *accumulate(sizes)]

    def __getitem__(self, number: int) -> StoredImage:
        group = bisect_right(self._starts, number) - 1
        return StoredImage(self._path, self._stamp, group, number - self._starts[group])


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror}): it holds images") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)
def _images(path: Path, stamp: _Stamp, group: int) -> Any:
    """The column of a row group, as pyarrow holds it: its bytes once, no Python object an image."""
    import pyarrow.parquet

    if _stamp(path) != stamp:
        raise UserError(f"{path} was written again since its questions were read: start anew")
    with pyarrow.parquet.ParquetFile(path) as file:
        return file.read_row_group(group, columns=["images"]).column("images")
