"""Build FSDP2's offload policy for a frozen reference model without pinned memory."""

from typing import Any

from recipe.difficulty_calib.patches import Patch


def _apply(module: Any) -> None:
    stock = module.CPUOffloadPolicy

    def unpinned_offload_policy(pin_memory: bool = False) -> Any:
        return stock(pin_memory=False)

    module.CPUOffloadPolicy = unpinned_offload_policy


PATCH = Patch(
    name="offload without pinned memory",
    module="verl.workers.engine.fsdp.transformer_impl",
    touches=("FSDPEngine._build_fsdp_module",),
    reason="verl asks for CPUOffloadPolicy(pin_memory=True) for a reference model; pinning "
    "needs an accelerator",
    apply=_apply,
)
