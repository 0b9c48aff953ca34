"""Experts that label claims and answers, and how a configuration names one.

The protocol is in `expert_protocol`, the exact expert in `oracle`, the client for served models in `openai_expert`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from reward_fns.expert_protocol import TASKS, Expert, ExpertError, ExpertRequest, ExpertVerdict
from reward_fns.openai_expert import OpenAIExpert
from reward_fns.oracle import OracleExpert

__all__ = [
    "KINDS",
    "TASKS",
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

    >>> make_expert({"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:8000/v1"}).name
    'judge'

    Raises:
        ValueError: unknown kind, or arguments that this kind does not take.
    """
    options = {"kind": config} if isinstance(config, str) else dict(config)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"unknown expert kind {kind!r}: choose one of {', '.join(KINDS)}")
    try:
        return KINDS[kind](**options)
    except TypeError as error:
        raise ValueError(f"expert {kind!r} does not take these options: {error}") from error
