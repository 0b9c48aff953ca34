"""Plain Python values of what configurations and table readers hand over."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: Any, keep_none: bool = False) -> Any:
    """A value in the types that JSON has.

    Mappings and sequences of any library become dict and list (OmegaConf's too),
    numpy's and torch's values Python's, bytes UTF-8 text, paths their names. NaN,
    pandas' word for missing, is None.

    Args:
        value: the value.
        keep_none: keep entries of mappings that are None, as options need (``temperature: null``).
            Else they are left out: parquet gives a row all fields that any row has.

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
        entries = {str(key): plain(entry, keep_none) for key, entry in value.items()}
        return {key: entry for key, entry in entries.items() if keep_none or entry is not None}
    if isinstance(value, Sequence):
        return [plain(entry, keep_none) for entry in value]
    if callable(getattr(value, "tolist", None)):
        return plain(value.tolist(), keep_none)
    raise TypeError(f"a {type(value).__name__}")
