"""Admit LLaVA's processor to verl."""

import warnings
from typing import Any

from recipe.difficulty_calib.patches import Patch, replace_everywhere


def _apply(module: Any) -> None:
    stock = module.hf_processor

    def hf_processor(name_or_path: str, **kwargs: Any) -> Any:
        """verl's `hf_processor`, which also returns a LLaVA processor.

        Raises:
            ValueError: a LLaVA model whose directory holds no usable processor. Stock verl
                would go on without images.
        """
        from transformers import AutoConfig, AutoProcessor

        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="Failed to create processor: Unsupported processor type"
            )
            processor = stock(name_or_path, **kwargs)
        if processor is not None:
            return processor
        config = AutoConfig.from_pretrained(name_or_path, **kwargs)
        if config.model_type != "llava":
            return None
        processor = AutoProcessor.from_pretrained(name_or_path, **kwargs)
        if type(processor).__name__ != "LlavaProcessor":
            raise ValueError(
                f"{name_or_path} is a LLaVA model without a processor: copy "
                "processor_config.json and preprocessor_config.json beside its weights"
            )
        processor.config = config
        if not hasattr(processor.image_processor, "patch_size"):
            # verl's SFT dataset reads it from the image processor; LLaVA keeps it in the processor.
            processor.image_processor.patch_size = processor.patch_size
        return processor

    replace_everywhere("hf_processor", stock, hf_processor)


PATCH = Patch(
    name="LLaVA's processor",
    module="verl.utils.tokenizer.tokenizer",
    touches=("hf_processor",),
    reason="hf_processor has a list of processor classes; for others it warns and training "
    "goes on without images",
    apply=_apply,
)
