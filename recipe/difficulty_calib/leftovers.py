"""What verl and vLLM leave behind when they are ended, made where it can be found and removed.

verl ends its servers by killing them. What they held stays: segments of shared memory (400 MB a
run), semaphores, vLLM's sockets and `vllm_dist_*`, verl's `ckpt_*.lock`. A run therefore gets a
folder of its own, short (a socket's path may have 107 characters), below the temporary directory:

    /tmp/dc1a2b3/            TMPDIR of the run; segments and semaphores are named /dc1a2b3...
    /tmp/dc1a2b3/.lock       held as long as the run lives

and both go when the run ends. Those of a run that was killed go when the next one starts: nobody
holds their lock. Ray's sessions, with its logs, stay where Ray puts them.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PREFIX_VARIABLE = "DIFFICULTY_CALIB_SHM_PREFIX"
"""What the names of a run's segments of shared memory and semaphores begin with;
`patches.shared_memory_names` reads it.
"""
SEGMENTS = Path("/dev/shm")
_YOUNG_S = 10.0
_NAME = re.compile(r"dc[0-9a-f]{5}")


@contextlib.contextmanager
def removed() -> Iterator[None]:
    """Give what is started in this block a temporary folder of its own, and remove
    what is left in the end.

    Inside another such block, of this or of the process that started this one, it does nothing.
    """
    if PREFIX_VARIABLE in os.environ:
        yield
        return
    base = Path(tempfile.gettempdir())
    remove_abandoned(base)
    name = f"dc{secrets.token_hex(3)[:5]}"
    folder = base / name
    folder.mkdir(mode=0o700)
    changes = {"TMPDIR": str(folder), PREFIX_VARIABLE: name}
    # Ray would put its sessions there too: their paths get too long, and
    # their logs are worth keeping.
    changes["RAY_TMPDIR"] = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    before = {variable: os.environ.get(variable) for variable in changes}
    with _held(folder):
        try:
            _set(changes)
            yield
        finally:
            _set(before)
            _remove(folder)


def remove_abandoned(base: Path) -> None:
    """Remove what killed runs of this user left below `base` and in the shared memory."""
    for folder in base.glob("dc*"):
        if not _NAME.fullmatch(folder.name) or not folder.is_dir() or folder.is_symlink():
            continue
        # Another run may be removing it; or it is held, and BlockingIOError says so.
        with contextlib.suppress(OSError):
            if _is_old(folder):
                with _held(folder):
                    _remove(folder)


def _is_old(folder: Path) -> bool:
    """Whether it is this user's, and older than the moment between its making and its lock."""
    status, lock = folder.stat(), (folder / ".lock").stat()
    return status.st_uid == os.getuid() and time.time() - lock.st_mtime > _YOUNG_S


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[IO[str]]:
    """Hold the folder's lock, which goes with this process; children do not inherit it.

    Raises:
        BlockingIOError: another process holds it.
    """
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock


def _remove(folder: Path) -> None:
    for pattern in (f"{folder.name}*", f"sem.{folder.name}*"):
        for segment in SEGMENTS.glob(pattern):
            with contextlib.suppress(OSError):  # a folder, or another user's: not the run's
                segment.unlink()
    # A process that is still ending may write there meanwhile: the next run removes the rest.
    shutil.rmtree(folder, ignore_errors=True)


def _set(variables: dict[str, str] | dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    tempfile.tempdir = None  # it is read once
