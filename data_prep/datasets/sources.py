"""What the adapters have read, so that the step `questions` can tell whether it
would read the same again.

A file counts by its content, a folder that is listed by the names in it, and what was looked for
and not there by its absence. Size and time are kept beside, so that an untouched file is not read
again to find that out. Pictures are not read here; the steps that look at them count them
(`questions.pictures_state`).

    sources.json    [{"path": ..., "size": ..., "mtime_ns": ..., "digest": sha256 | null}, ...]
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

from reward_fns.files import write_json

_noted: ContextVar[dict[Path, "Source"] | None] = ContextVar("noted", default=None)


@dataclass(frozen=True)
class Source:
    """A file or folder as it was.

    Attributes:
        size: in bytes; with `mtime_ns` what tells cheaply that it was not touched; 0 for none.
        digest: SHA-256 of the content, or of a folder's names; None while it is not
            known, and for nothing there.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str | None = None


@contextmanager
def noting() -> Iterator[dict[Path, Source]]:
    """Within it, `note` adds to the mapping that it gives."""
    found: dict[Path, Source] = {}
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def note(path: Path) -> None:
    """This file or folder is about to be read, or looked for in vain."""
    noted = _noted.get()
    if noted is not None and path not in noted:
        noted[path] = _touched(path)


def save(file: Path, noted: dict[Path, Source]) -> None:
    """Write what was noted with its digests; what has changed since it was noted gets
    none, and is read again.
    """
    write_json(file, [asdict(_digested(path, source)) for path, source in noted.items()])


def unchanged(file: Path) -> bool:
    """Whether all that `save` wrote is still the same by content; touched files are noted
    with their new times.
    """
    try:
        kept = [Source(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return False
    now = [source if _touched_equals(source) else _afresh(Path(source.path)) for source in kept]
    if any(new.digest != old.digest for new, old in zip(now, kept, strict=True)):
        return False
    if now != kept:
        write_json(file, [asdict(source) for source in now])
    return True


def _touched(path: Path) -> Source:
    try:
        state = path.stat()
    except OSError:
        return Source(str(path), 0, 0)
    return Source(str(path), state.st_size, state.st_mtime_ns)


def _touched_equals(source: Source) -> bool:
    now = _touched(Path(source.path))
    return (now.size, now.mtime_ns) == (source.size, source.mtime_ns)


def _digested(path: Path, noted: Source) -> Source:
    found = _afresh(path)
    return found if (found.size, found.mtime_ns) == (noted.size, noted.mtime_ns) else noted


def _afresh(path: Path) -> Source:
    """With its digest; the size and time are those before it was read."""
    before = _touched(path)
    if path.is_dir():
        names = "\0".join(sorted(entry.name for entry in path.iterdir()))
        digest = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()
    elif path.is_file():
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    else:
        return before
    return Source(before.path, before.size, before.mtime_ns, digest)
