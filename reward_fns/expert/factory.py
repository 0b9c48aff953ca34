"""The expert that a configuration names."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reward_fns.expert.keeping.cache import CachedExpert
from reward_fns.expert.keeping.replay import ReplayExpert
from reward_fns.expert.modes import MODES
from reward_fns.expert.oracle import OracleExpert
from reward_fns.expert.protocol import Expert, VersionedExpert
from reward_fns.expert.serving.served import OpenAIExpert


def _openai(
    cache: str | Path | None = None,
    lease: float = 30.0,
    concurrency: int = 64,
    mode: str = "one_call",
    **options: Any,
) -> VersionedExpert:
    limits = None if cache is None else Path(cache) / "limits"
    return _in_mode(
        mode,
        CachedExpert(OpenAIExpert(**options, limits_directory=limits), cache, lease, concurrency),
    )


def _replay(mode: str = "one_call", **options: Any) -> VersionedExpert:
    return _in_mode(mode, ReplayExpert(**options))


def _in_mode(mode: str, expert: VersionedExpert) -> VersionedExpert:
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r} of the expert: choose one of {', '.join(MODES)}")
    return MODES[mode](expert)


KINDS: dict[str, Callable[..., Expert]] = {
    "oracle": OracleExpert,
    "openai": _openai,
    "replay": _replay,
}


def _own(
    kind: str,
    cache: str | Path | None = None,
    lease: float = 30.0,
    concurrency: int = 64,
    **options: Any,
) -> Expert:
    """An expert of the user's own class, named as package.module:Class."""
    module, _, name = kind.partition(":")
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no expert {kind!r}: {error}") from error
    # A configuration may be someone else's: only what is meant to be an expert is called.
    if not (isinstance(make, type) and callable(getattr(make, "ask", None))):
        raise ValueError(f"{kind!r} is no expert: it must name a class with a method ask")
    expert: Any = make(**options)
    if hasattr(expert, "prompt_version"):
        return CachedExpert(expert, cache, lease, concurrency)
    if cache is not None:
        raise ValueError(
            f"expert {kind!r} takes no cache: it has no prompt_version by which "
            "verdicts could be kept"
        )
    own: Expert = expert
    return own


def make_expert(config: str | Mapping[str, Any]) -> Expert:
    """The expert that a configuration names: ``"oracle"``, or a mapping with ``kind`` and
    the options of that kind.

    oracle: no options. openai: those of `OpenAIExpert`, and ``cache``, ``lease``, ``concurrency``
    (`CachedExpert`), ``mode`` (`modes`). replay: those of `ReplayExpert`, and ``mode``.
    ``package.module:Class``: the arguments of that class; if it has a ``prompt_version`` also
    ``cache``, ``lease`` and ``concurrency``.

    >>> server = {"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:8000/v1"}
    >>> make_expert(server).name
    'judge'

    Raises:
        ValueError: unknown kind, or options that this kind does not take.
    """
    options = {"kind": config} if isinstance(config, str) else dict(config)
    kind = options.pop("kind", None)
    try:
        if isinstance(kind, str) and ":" in kind:
            return _own(kind, **options)
        if kind not in KINDS:
            raise ValueError(
                f"unknown expert kind {kind!r}: choose one of {', '.join(KINDS)}, or "
                "package.module:Class"
            )
        return KINDS[kind](**options)
    except TypeError as error:
        raise ValueError(f"expert {kind!r} does not take these options: {error}") from error
