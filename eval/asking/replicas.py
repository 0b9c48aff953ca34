"""How many copies of a model answer at once: one a GPU where there are several, else one.

A model spec is served by vLLM inside the process, which uses one GPU. Where more than one is
visible (CUDA_VISIBLE_DEVICES), Ray Data runs a replica on each (`data_prep.engines.ray_data`).
An answer depends on its own seed alone, up to ties within rounding, and the model's
fingerprint is the same:
records of one replica are taken up by many.
"""

from collections.abc import Mapping
from typing import Any

from eval.asking import answers

BATCH_OF_REPLICAS = 2048
"""Questions between two writes with replicas, which start anew with each call: a minute and
more for a large model.
"""

Config = str | Mapping[str, Any]


def with_replicas(config: Config, replicas: int | None = None) -> Config:
    """The configuration for `open_engine` that serves a model by several
    replicas, or as it is for one.

    Args:
        config: of `open_engine`. Only models that vLLM loads are changed: others
            have options of their own.
        replicas: >= 1; None for one a visible GPU, and one without a GPU.
    """
    options: dict[str, Any] = {"model": config} if isinstance(config, str) else dict(config)
    if options.pop("kind", "vllm") != "vllm":
        return config
    wanted = replicas if replicas is not None else visible_gpus()
    return {**options, "kind": "ray", "concurrency": wanted} if wanted > 1 else config


def visible_gpus() -> int:
    """GPUs that this process may use; 0 without any."""
    import torch

    return torch.cuda.device_count()


def batch_of(config: Config) -> int:
    """Questions between two writes, for an engine's configuration."""
    on_ray = not isinstance(config, str) and config.get("kind") == "ray"
    return max(answers.BATCH, BATCH_OF_REPLICAS) if on_ray else answers.BATCH
