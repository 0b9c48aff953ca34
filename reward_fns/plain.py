"""Plain Python values of what configurations and table readers hand over, without their libraries."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: Any) -> Any:
    """A value in the types that JSON has.

    Mappings and sequences of any library become dict and list (OmegaConf's too), numpy's and
    torch's values Python's, bytes UTF-8 text, paths their names. An entry of a mapping that is None is left out:
    parquet gives a row all fields that any row has. So is a NaN, pandas' word for missing, None.

    Raises:
        TypeError: a value of another type, or an infinite number; the message names it.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise TypeError("an infinite number")
        return None if math.isnan(value) else float(value)
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as error:
            raise TypeError("bytes that are no UTF-8 text") from error
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    if isinstance(value, Mapping):
        entries = {str(key): plain(entry) for key, entry in value.items()}
        return {key: entry for key, entry in entries.items() if entry is not None}
    if isinstance(value, Sequence):
        return [plain(entry) for entry in value]
    if callable(getattr(value, "tolist", None)):
        return plain(value.tolist())
    raise TypeError(f"a {type(value).__name__}")
