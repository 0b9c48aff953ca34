"""A store of texts by key that processes share, and that cannot run code: SQLite, nothing pickled.

A directory holds `cache.db`, in it the table `entries`. Whatever else stands in the file or beside
it is never unpickled, called or followed: a cache may come from someone whom nobody trusts. What
diskcache has kept in the directory (up to version 0.1.0 of this project) is taken over once, its
texts and numbers only, see `diskcache_directory`.

Each change is one transaction. Nothing is evicted. SQLite's locks need a local disk.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reward_fns.errors import UserError
from reward_fns.expert.keeping.diskcache_directory import take_over

FILE = "cache.db"
_LOCKED_FOR = 60.0  # seconds that another process may hold the file before this one gives up
_TABLE = "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
_OF_OTHERS = "SELECT name FROM sqlite_master WHERE tbl_name = 'entries' AND type IN {}"
_NO_STORE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_PARENTS: list[sqlite3.Connection] = []
"""Connections of a process that forked: closed here, they would take its log of writes away."""


class Store:
    """Texts by key in a directory, which is made if it is not there; a context manager.

    Raises:
        UserError: the file there is no such store.
        OSError, sqlite3.Error: it cannot be read or written (a full disk, no permission).
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._path = self.directory / FILE
        # A connection belongs to its thread, and must not be used behind a fork.
        self._local = threading.local()
        with self._in_words():
            self._prepare()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End this thread's connection; it is opened again when it is needed."""
        if getattr(self._local, "pid", None) == os.getpid():
            self._local.connection.close()
        self._local.pid = None

    def get(self, key: str) -> str | None:
        """The text of a key; None if there is none."""
        with self._in_words():
            return self._read(self._connection(), key)

    def set(self, key: str, text: str) -> None:
        """Keep a text."""
        self.update(key, lambda _: text)

    def update(self, key: str, new: Callable[[str | None], str | None]) -> str | None:
        """Replace a text by new(text) in one step, None standing for no
        text; the old one comes back.

        What `new` raises leaves the text as it is.
        """
        with self._transaction() as connection:
            old = self._read(connection, key)
            text = new(old)
            if text is None:
                connection.execute("DELETE FROM entries WHERE key = ?", (key,))
            elif text != old:
                connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (key, text))
        return old

    def move(self, key: str, to: str, new: Callable[[str], str]) -> str | None:
        """Keep new(text) under another key in one step; the new text, None if there was none."""
        with self._transaction() as connection:
            old = self._read(connection, key)
            if old is None:
                return None
            text = new(old)
            connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (to, text))
            connection.execute("DELETE FROM entries WHERE key = ?", (key,))
        return text

    def __iter__(self) -> Iterator[str]:
        """The keys, oldest first."""
        yield from (key for key, _ in self.items())

    def items(self) -> Iterator[tuple[str, str]]:
        """Keys and texts, oldest first, read as they are asked for."""
        query = "SELECT key, value FROM entries WHERE typeof(value) = 'text' ORDER BY rowid"
        with self._in_words():
            yield from self._connection().execute(query)

    @staticmethod
    def _read(connection: sqlite3.Connection, key: str) -> str | None:
        # SQLite keeps blobs in a column of texts too.
        query = "SELECT value FROM entries WHERE key = ? AND typeof(value) = 'text'"
        row = connection.execute(query, (key,)).fetchone()
        return None if row is None else str(row[0])

    def _connection(self) -> sqlite3.Connection:
        if getattr(self._local, "pid", None) != os.getpid():
            if getattr(self._local, "pid", None) is not None:
                _PARENTS.append(self._local.connection)
            self._local.connection = _connect(self._path)
            self._local.pid = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._in_words():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself where the disk was full.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        with self._transaction() as connection:
            connection.execute(_TABLE)
            # A view in the table's place, or a trigger on it, would be a program of someone else's.
            foreign = _OF_OTHERS.format("('view', 'trigger')")
            if connection.execute(foreign).fetchone() is not None:
                raise UserError(
                    f"{self._path} holds views or triggers on its entries, which this project "
                    "never makes: do not use it"
                )
            take_over(connection, self.directory)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Raise what SQLite says of a file that is no database as an error for the user."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _NO_STORE:
                raise
            raise UserError(
                f"{self._path} is no store of verdicts ({error}): move it away, or "
                "name another directory"
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: transactions are begun by name.
    connection = sqlite3.connect(path, timeout=_LOCKED_FOR, isolation_level=None)
    # Bytes that are no UTF-8 make an entry that cannot be read, no error of the whole store.
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = NORMAL")
    _write_ahead(connection)
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let others read while one writes.

    The first process to open a file changes its mode; SQLite makes the others fail at once then,
    without waiting its timeout.
    """
    end = time.monotonic() + _LOCKED_FOR
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.005)
