"""Draw a new adapter's weights by the engine's `seed`, so that a training of the same seed
starts from the same.
"""

from typing import Any

from recipe.difficulty_calib.patches import Patch


def _apply(module: Any) -> None:
    import torch

    build = module.FSDPEngine._build_lora_module

    def build_lora_module(self: Any, model: torch.nn.Module) -> torch.nn.Module:
        # On all ranks alike: each builds the whole adapter before it is sharded.
        torch.manual_seed(self.engine_config.seed)
        built: torch.nn.Module = build(self, model)
        return built

    module.FSDPEngine._build_lora_module = build_lora_module


PATCH = Patch(
    name="adapters drawn by the seed",
    module="verl.workers.engine.fsdp.transformer_impl",
    touches=("FSDPEngine._build_lora_module",),
    reason="verl reads the engine's seed only with full_determinism: LoRA's A "
    "is another in each run",
    apply=_apply,
)
