"""Give vLLM one placeholder an image for LLaVA prompts."""

from typing import Any

from recipe.difficulty_calib.patches import Patch


def tokens_per_image(processor: Any) -> int:
    """Number of image tokens that a `LlavaProcessor` puts in place of one ``<image>``."""
    image_processor = processor.image_processor
    size = (
        image_processor.crop_size
        if getattr(image_processor, "do_center_crop", False)
        else image_processor.size
    )
    patches = (size["height"] // processor.patch_size) * (size["width"] // processor.patch_size)
    tokens = patches + processor.num_additional_image_tokens
    return tokens - 1 if processor.vision_feature_select_strategy == "default" else tokens


def collapse_image_tokens(prompt_ids: list[int], image_token_id: int, run_length: int) -> list[int]:
    """Replace every `run_length` consecutive image tokens by one.

    Two images side by side make one run of ``2 * run_length`` and leave two tokens.

    Raises:
        ValueError: a run that holds no whole number of images.
    """
    collapsed: list[int] = []
    run = 0
    for token in [*prompt_ids, None]:
        if token == image_token_id:
            run += 1
            continue
        if run:
            if run % run_length:
                raise ValueError(
                    f"a run of {run} image tokens in the prompt is no multiple of {run_length}, "
                    "the tokens of one image: the prompt was cut (raise data.max_prompt_length) "
                    "or its processor is not the model's own"
                )
            collapsed += [image_token_id] * (run // run_length)
            run = 0
        if token is not None:
            collapsed.append(token)
    return collapsed


def _apply(module: Any) -> None:
    stock = module.qwen2_5_vl_dedup_image_tokens

    def dedup_image_tokens(prompt_ids: list[int], processor: Any) -> list[int]:
        if type(processor).__name__ != "LlavaProcessor":
            return stock(prompt_ids, processor)
        return collapse_image_tokens(
            list(prompt_ids), processor.image_token_id, tokens_per_image(processor)
        )

    module.qwen2_5_vl_dedup_image_tokens = dedup_image_tokens


PATCH = Patch(
    name="one placeholder an image for vLLM",
    module="verl.workers.rollout.utils",
    touches=("qwen2_5_vl_dedup_image_tokens",),
    reason="verl collapses the expanded image run for Qwen2-VL only; vLLM would expand "
    "LLaVA's a second time",
    apply=_apply,
)
