"""`--out` is checked before any work, so that no hour of it ends in a file
that cannot be written.
"""

import os
from pathlib import Path

from reward_fns.errors import UserError

TABLE_ENDINGS = (".md", ".csv", ".tex")


def check_out_directory(out: Path) -> None:
    """Whether a directory is there or can be made.

    Raises:
        UserError: the path, or one above it, is a file or may not be written to.
    """
    _check(out, out, "name a directory")


def check_out_file(out: Path) -> None:
    """Whether a file can be written.

    Raises:
        UserError: the path is a directory, or one above it is a file or may not be written to.
    """
    if out.is_dir():
        raise UserError(f"--out {out} is a directory: name a file")
    _check(out, out.parent, "name a file in a directory")


def check_out_table(out: Path | None) -> None:
    """Whether a table can be written in the form of its name's ending; None: none is asked for.

    Raises:
        UserError: another ending, or as `check_out_file`.
    """
    if out is None:
        return
    if out.suffix not in TABLE_ENDINGS:
        *some, last = TABLE_ENDINGS
        raise UserError(f"--out {out}: the name must end in {', '.join(some)} or {last}")
    check_out_file(out)


def _check(out: Path, directory: Path, remedy: str) -> None:
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--out {out}: {there} is a file: {remedy}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"--out {out}: {there} may not be written to: name another place")
