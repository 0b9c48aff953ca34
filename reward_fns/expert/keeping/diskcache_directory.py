"""What diskcache kept in a directory, taken over into the table `entries` of the same file.

diskcache 5 keeps entries in the table `Cache`: `raw` 1 for a key that is no pickle, `mode` 1 for a
value in its column, 3 for a text in a file, 4 for a pickle. Only texts and numbers under plain keys
are read, so nothing is unpickled; leases and moments of pacing are no use any more. The table stays
as it is, and `user_version` says that it has been read.
"""

import sqlite3
from pathlib import Path

_TAKEN_OVER = 1
_PLAIN = "typeof(key) = 'text' AND raw = 1 AND expire_time IS NULL"
_IN_PLACE = f"""
INSERT OR IGNORE INTO entries SELECT key, CAST(value AS TEXT) FROM Cache
WHERE {_PLAIN} AND mode = 1 AND typeof(value) IN ('text', 'integer', 'real')
AND key NOT LIKE 'next %' ORDER BY rowid
"""
_IN_FILES = f"SELECT key, filename FROM Cache WHERE {_PLAIN} AND mode = 3 ORDER BY rowid"


def take_over(connection: sqlite3.Connection, directory: Path) -> None:
    """Copy what can be read; nothing where it has been done, or diskcache was never there.

    Args:
        connection: within a transaction, on `directory`'s file.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'Cache'"
    if version >= _TAKEN_OVER or connection.execute(known).fetchone() is None:
        return
    connection.execute(_IN_PLACE)
    for key, name in connection.execute(_IN_FILES).fetchall():
        if (text := _text(directory, name)) is not None:
            connection.execute("INSERT OR IGNORE INTO entries VALUES (?, ?)", (key, text))
    connection.execute(f"PRAGMA user_version = {_TAKEN_OVER}")


def _text(directory: Path, name: object) -> str | None:
    """A value that stands in a file; None if it is none of the directory's own, or no text."""
    if not isinstance(name, str) or "\0" in name:
        return None
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()) or not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
