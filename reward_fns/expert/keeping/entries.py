"""Verdicts as records: the key by content, the JSON form, and reading a cache directory or an exported file.

A cache directory is a `diskcache.Cache` (SQLite) of JSON texts by key; an export is a JSONL file of the same records:

    {"key": ..., "content": ..., "judge": "gpt-4o", "prompt_version": ..., "kind": "AnswerRequest",
     "asked": {"question": ..., "claims": [...]}, "model": "gpt-4o-2024-11-20",
     "verdict": {"claim_labels": [1, 0], "overall": 0.0}, "usage": {...}, "time": 1790000000.0}

`content` digests all that the expert sees of the request, `key` also who judges and by which instructions. Neither the
image nor the reference answer is stored.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from reward_fns.errors import UserError
from reward_fns.expert import requests
from reward_fns.expert.requests import Request, Source, Usage, V, Verdict
from reward_fns.files import read_jsonl

if TYPE_CHECKING:
    from diskcache import Cache

LEASE_PREFIX = "asking "
_NOT_STORED = ("images", "ground_truth")
_REFERENCE = "reference"  # the name that a rubric's values give to a reference answer


def open_directory(directory: str | Path) -> "Cache":
    """The store in a directory, which is made if it is not there; nothing in it is ever evicted."""
    from diskcache import Cache

    return Cache(str(directory), eviction_policy="none")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, Mapping):
        return sorted(value.items())
    return value


def _without_reference(value: Any) -> Any:
    """A rubric's values without the reference answer among them; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    return {name: item for name, item in value.items() if name != _REFERENCE}


def _digest(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()


def content_key(request: Request[Any]) -> str:
    """Hex digest of all that an expert sees of the request, its images included."""
    named = [
        _named(field.name, getattr(request, field.name)) for field in fields(cast(Any, request))
    ]
    return _digest(type(request).__name__, named)


def _named(name: str, value: Any) -> tuple[str, Any]:
    """A field as it stands in a key. None or one image has the key of requests that held one: verdicts last."""
    if name != "images":
        return name, _plain(value)
    digests = [_plain(image) for image in value]
    return ("images", digests) if len(digests) > 1 else ("image", digests[0] if digests else None)


def verdict_key(content: str, judge: str, prompt_version: str) -> str:
    """Hex digest of a request's `content_key`, who judges it, and by which instructions."""
    return _digest(content, judge, prompt_version)


def to_entry(request: Request[V], verdict: V, key: str, content: str, judge: str) -> dict[str, Any]:
    """The record of a verdict."""
    stated = {field.name: getattr(verdict, field.name) for field in fields(cast(Any, verdict))}
    source: Source = stated.pop("source")
    asked = {
        field.name: _plain(_without_reference(getattr(request, field.name)))
        for field in fields(cast(Any, request))
        if field.name not in _NOT_STORED
    }
    return {
        "key": key,
        "content": content,
        "judge": judge,
        "prompt_version": source.prompt_version,
        "kind": type(request).__name__,
        "asked": asked,
        "model": source.model,
        "verdict": stated,
        "usage": asdict(source.usage),
        "time": time.time(),
    }


_VERDICTS: dict[str, type[Verdict]] = {
    name.removesuffix("Verdict") + "Request": kind
    for name, kind in vars(requests).items()
    if name.endswith("Verdict") and kind is not Verdict
}


def from_entry(entry: Mapping[str, Any]) -> Verdict:
    """The verdict of a record, marked as cached and free.

    Raises:
        KeyError, TypeError: not such a record.
    """
    stated = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry["verdict"].items()
    }
    make: Any = _VERDICTS[entry["kind"]]
    verdict: Verdict = make(
        **stated, source=Source(entry["model"], entry["prompt_version"], Usage(), cached=True)
    )
    return verdict


def read_entries(recorded: Path) -> Iterator[dict[str, Any]]:
    """The records of a cache directory, oldest first, or of an exported file.

    Raises:
        UserError: there is neither.
    """
    if recorded.is_file():
        yield from read_jsonl(recorded)
        return
    if not (recorded / "cache.db").is_file():
        raise UserError(
            f"no recorded verdicts in {recorded}: name the directory of a cache, or a file exported from one"
        )
    with open_directory(recorded) as cache:
        for key in cache:
            # A verdict may be gone, and a lease is no verdict.
            if not key.startswith(LEASE_PREFIX) and (text := cache.get(key)) is not None:
                yield json.loads(text)
