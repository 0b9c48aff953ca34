"""Let vLLM's LLaVA take the names that transformers gives CLIP's weights."""

from typing import Any

from recipe.difficulty_calib.patches import Patch

_CLIP_PARTS = ("embeddings", "encoder", "pre_layrnorm", "post_layernorm")


def _apply(module: Any) -> None:
    from vllm.model_executor.models.utils import WeightsMapper

    # Prefixes are tried in order, so "model.vision_tower." has become
    # "vision_tower." before these are.
    flat = {f"vision_tower.{part}.": f"vision_tower.vision_model.{part}." for part in _CLIP_PARTS}
    llava = module.LlavaForConditionalGeneration
    llava.hf_to_vllm_mapper = llava.hf_to_vllm_mapper | WeightsMapper(orig_to_new_prefix=flat)


PATCH = Patch(
    name="names of CLIP's weights",
    module="vllm.model_executor.models.llava",
    versions={"vllm": ">=0.24,<0.29"},
    reason="transformers >= 5.7 writes vision_tower.encoder..., vLLM knows "
    "vision_tower.vision_model.encoder... only",
    apply=_apply,
)
