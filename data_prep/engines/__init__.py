"""A multimodal model behind one interface, whatever serves it; the rest of the project
knows only `interface`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.engines.interface import (
    Completion,
    Engine,
    GenerationRequest,
    NoLogprobs,
    RefusedRequests,
    Sampling,
    ScoredAnswer,
    ScoredToken,
    ScoringRequest,
    Token,
)
from reward_fns.errors import UserError

__all__ = [
    "Completion",
    "Engine",
    "GenerationRequest",
    "NoLogprobs",
    "RefusedRequests",
    "Sampling",
    "ScoredAnswer",
    "ScoredToken",
    "ScoringRequest",
    "Token",
    "open_engine",
]

# kind -> class; the module is imported when it is asked for. All but the
# server load a model directory.
_ENGINES = {
    "vllm": "data_prep.engines.vllm_offline:VllmEngine",
    "transformers": "data_prep.engines.transformers_engine:TransformersEngine",
    "ray": "data_prep.engines.ray_data:RayEngine",
    "openai": "data_prep.engines.openai_server:OpenAIEngine",
}


def open_engine(config: str | Mapping[str, Any], cache: Path) -> Engine:
    """The engine of a model spec (see `models.prepare`), which stands for vLLM
    offline, or of a configuration.

    Args:
        config: "MODEL", or {"kind": "vllm" | "transformers" | "ray" | "openai", "model": MODEL,
            ...} with the options of the engine's class; {"kind": "package.module:Class", ...} is
            any class of the user's.
        cache: directory for merged copies of models.

    Raises:
        UserError: the configuration or the model cannot be used.
    """
    options: dict[str, Any] = {"model": config} if isinstance(config, str) else dict(config)
    kind = options.pop("kind", "vllm")
    target = _ENGINES.get(kind, kind)
    if ":" not in str(target):
        raise UserError(
            f"no engine of kind {kind!r}: name {', '.join(_ENGINES)}, or a class as "
            "package.module:Class"
        )
    if kind in _ENGINES and not (isinstance(options.get("model"), str) and options["model"]):
        raise UserError(f"the engine {kind!r} needs the key model, a text")
    if kind in _ENGINES and kind != "openai":
        from data_prep.engines.models import prepare

        options["model"] = prepare(options["model"], cache)
    module, _, name = target.partition(":")
    try:
        engine: Engine = getattr(importlib.import_module(module), name)(**options)
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"the engine {kind!r} cannot be opened: {error}") from error
    return engine
