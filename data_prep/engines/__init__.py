"""A multimodal model behind one interface, whatever serves it; the rest of the project knows only `interface`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.engines.interface import Completion, Engine, GenerationRequest, Sampling, Token

__all__ = ["Completion", "Engine", "GenerationRequest", "Sampling", "Token", "open_engine"]


def open_engine(config: str | Mapping[str, Any], cache: Path) -> Engine:
    """The engine of a model spec (see `models.prepare`), which stands for vLLM offline, or of a configuration.

    Args:
        config: "MODEL", or {"kind": "vllm", "model": "MODEL"}.
        cache: directory for merged copies of models.

    Raises:
        UserError: the configuration or the model cannot be used.
    """
    from data_prep.engines.models import prepare
    from data_prep.engines.vllm_offline import VllmEngine
    from reward_fns.errors import UserError

    settings = {"kind": "vllm", "model": config} if isinstance(config, str) else dict(config)
    kind = settings.pop("kind", "vllm")
    if kind == "vllm":
        return VllmEngine(prepare(settings["model"], cache))
    raise UserError(f"no engine of kind {kind!r}")
