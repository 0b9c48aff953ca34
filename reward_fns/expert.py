"""Experts that label claims and answers, and how a configuration names one.

The protocol is in `expert_protocol`, the exact expert in `oracle`, the client for served models in `openai_expert`, the
cache on disk in `cached_expert`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from reward_fns.cached_expert import CachedExpert
from reward_fns.expert_protocol import TASKS, Expert, ExpertError, ExpertRequest, ExpertVerdict
from reward_fns.openai_expert import OpenAIExpert
from reward_fns.oracle import OracleExpert

__all__ = [
    "KINDS",
    "TASKS",
    "CachedExpert",
    "Expert",
    "ExpertError",
    "ExpertRequest",
    "ExpertVerdict",
    "OpenAIExpert",
    "OracleExpert",
    "make_expert",
]

KINDS: dict[str, Callable[..., Expert]] = {"oracle": OracleExpert, "openai": OpenAIExpert}


def make_expert(config: str | Mapping[str, Any]) -> Expert:
    """The expert that a configuration names: ``"oracle"``, or a mapping with ``kind`` and the constructor's arguments.

    ``cache``, for the kind openai: a directory that keeps the verdicts, or a mapping with ``directory`` and further
    arguments of `CachedExpert`.

    >>> make_expert({"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:8000/v1"}).name
    'judge'

    Raises:
        ValueError: unknown kind, or arguments that this kind does not take.
    """
    options = {"kind": config} if isinstance(config, str) else dict(config)
    kind, cache = options.pop("kind", None), options.pop("cache", None)
    if kind not in KINDS:
        raise ValueError(f"unknown expert kind {kind!r}: choose one of {', '.join(KINDS)}")
    try:
        expert = KINDS[kind](**options)
    except TypeError as error:
        raise ValueError(f"expert {kind!r} does not take these options: {error}") from error
    if cache is None:
        return expert
    if not isinstance(expert, OpenAIExpert):
        raise ValueError(f"expert {kind!r} takes no cache: its verdicts cost nothing")
    try:
        settings: dict[str, Any] = {"directory": cache} if isinstance(cache, str) else dict(cache)
        return CachedExpert(expert, **settings)
    except TypeError as error:
        raise ValueError(f"the expert's cache does not take these options: {error}") from error
