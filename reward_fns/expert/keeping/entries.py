"""Verdicts as records: the key by content, the JSON form, and reading a cache
directory or an exported file.

A cache directory is a `store.Store` (SQLite) of JSON texts by key; an export is a JSONL file of the
same records:

    {"key": ..., "content": ..., "judge": "gpt-4o", "prompt_version": ..., "kind": "AnswerRequest",
     "identity": {"server": "https://api.openai.com/v1", "parameters": {"temperature": 0}},
     "asked": {"question": ..., "claims": [...]}, "model": "gpt-4o-2024-11-20",
     "verdict": {"claim_labels": [1, 0], "overall": 0.0}, "usage": {...}, "time": 1790000000.0}

`content` digests all that the expert sees of the request, `key` also who judges and by
which instructions. Who judges is its name and its `identity`: for a served model the
server and the parameters. Records from before that have none. Neither the image nor the
reference answer is stored.

Beside them the store holds leases (`leases`), and under `JUDGE_PREFIX` and a name the identities
that were asked under it.
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

from reward_fns.errors import UserError
from reward_fns.expert import requests
from reward_fns.expert.keeping.leases import LEASE_PREFIX
from reward_fns.expert.keeping.store import FILE, Store
from reward_fns.expert.requests import Request, Source, Usage, V, Verdict
from reward_fns.files import read_jsonl

JUDGE_PREFIX = "judge "
_MOST = 1e11
"""Seconds of a record's time, tokens or money: no calendar, and no run, goes so far."""
UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)
"""What `read_entry` and `from_entry` raise for what is no record of a verdict."""
_NOT_STORED = ("images", "ground_truth")
_REFERENCE = "reference"  # the name that a rubric's values give to a reference answer


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
    """A field as it stands in a key. None or one image has the key of requests that
    held one: verdicts last.
    """
    if name != "images":
        return name, _plain(value)
    digests = [_plain(image) for image in value]
    return ("images", digests) if len(digests) > 1 else ("image", digests[0] if digests else None)


def verdict_key(
    content: str, judge: str, prompt_version: str, identity: Mapping[str, Any] | None = None
) -> str:
    """Hex digest of a request's `content_key`, who judges it, and by which instructions."""
    named = [] if identity is None else [json.dumps(identity, sort_keys=True)]
    return _digest(content, judge, prompt_version, *named)


def told(identity: Mapping[str, Any] | None) -> str:
    """Who that is, for a person."""
    if identity is None:
        return "a server that is not recorded"
    options = {name: value for name, value in identity.items() if name != "server"}
    return f"{identity.get('server')} with {json.dumps(options, sort_keys=True)}"


def judges_of(text: str | None) -> list[dict[str, Any]]:
    """The identities in an entry of the list of judges; [] for none, or what cannot be read."""
    try:
        judges = [] if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return []
    return (
        [judge for judge in judges if isinstance(judge, dict)] if isinstance(judges, list) else []
    )


def with_judge(text: str | None, identity: dict[str, Any]) -> str:
    """That entry with one more identity, unless it is there."""
    judges = judges_of(text)
    return json.dumps(judges if identity in judges else [*judges, identity], sort_keys=True)


def to_entry(
    request: Request[V],
    verdict: V,
    key: str,
    content: str,
    judge: str,
    identity: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
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
        **({} if identity is None else {"identity": dict(identity)}),
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


def read_entry(text: str) -> dict[str, Any]:
    """The record that a store holds as text.

    Raises:
        ValueError, RecursionError: it is no JSON object.
    """
    entry = json.loads(text)
    if not isinstance(entry, dict):
        raise ValueError("no JSON object")
    return entry


def from_entry(entry: Mapping[str, Any]) -> Verdict:
    """The verdict of a record, marked as cached and free.

    Raises:
        ValueError, KeyError, TypeError: not such a record.
    """
    make: Any = _VERDICTS[entry["kind"]]
    types = _types(make)
    stated = {}
    for name, value in dict(entry["verdict"]).items():
        stated[name] = tuple(value) if isinstance(value, list) else value
        if not _is_of(stated[name], types[name]):
            raise TypeError(f"{name} of a {entry['kind']} cannot be {str(value)[:40]!r}")
    model, version = str(entry["model"]), str(entry["prompt_version"])
    verdict: Verdict = make(**stated, source=Source(model, version, Usage(), cached=True))
    return verdict


@cache
def _types(verdict: type[Verdict]) -> dict[str, Any]:
    return get_type_hints(verdict)


def _is_of(value: object, kind: Any) -> bool:
    """Whether a field of a verdict holds what its annotation says; whole
    numbers are also numbers.
    """
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of(item, get_args(kind)[0]) for item in value)
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, kind)


def read_entries(recorded: Path) -> Iterator[dict[str, Any]]:
    """The records of a cache directory, oldest first, or of an exported file.

    What is no record of a verdict is left out; how many, is said on stderr at the end.

    Raises:
        UserError: there is neither.
    """
    broken = 0
    for entry in _entries(recorded):
        try:
            from_entry(entry)
            _check_provenance(entry)
        except UNREADABLE:
            broken += 1
            continue
        yield entry
    if broken:
        print(f"{recorded}: {broken} entries left out: no verdicts", file=sys.stderr)


def _check_provenance(entry: Mapping[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for a record that does not say who was
    asked, when, at what cost.
    """
    usage = asdict(Usage(**entry["usage"]))
    numbers = [entry["time"], *(entry["usage"][name] for name in usage)]
    if not all(isinstance(number, int | float) and 0 <= number < _MOST for number in numbers):
        raise TypeError("usage and time are numbers")
    if not isinstance(entry.get("identity", {}), Mapping):
        raise TypeError("an identity is an object")
    if not all(isinstance(entry[name], str) for name in ("judge", "content")):
        raise TypeError("judge and content are texts")


def _entries(recorded: Path) -> Iterator[dict[str, Any]]:
    if recorded.is_file():
        yield from read_jsonl(recorded)
        return
    if not (recorded / FILE).is_file():
        raise UserError(
            f"no recorded verdicts in {recorded}: name the directory of a cache, or a "
            "file exported from one"
        )
    with Store(recorded) as store:
        for key, text in store.items():
            if key.startswith((LEASE_PREFIX, JUDGE_PREFIX)):
                continue
            try:
                yield read_entry(text)
            except UNREADABLE:
                yield {}
