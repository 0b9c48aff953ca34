"""A randomly initialised LLaVA: the layers of LLaVA-1.5-7B but few of them,
or a tiny one for a CPU.

It learns nothing of use. It has the shapes, so that kernels, sharding, image tokens, weight sync
and checkpoints are those of the real run. Processor and tokenizer are LLaVA-1.5's own where they
are at hand, else made from the shipped pocket model's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_fns.errors import UserError
from reward_fns.files import write_text

HUB_NAME = "llava-hf/llava-1.5-7b-hf"
#: Rows of LLaVA-1.5's embedding, and the ids in use: Llama-2's 32,000, `<image>` and `<pad>`.
ROWS = 32064
IDS = 32002


@dataclass(frozen=True)
class Shape:
    """Sizes of a LLaVA, as its configuration names them; one more image token: CLIP's class."""

    text: Mapping[str, int]
    vision: Mapping[str, int]
    dtype: str

    @property
    def image_tokens(self) -> int:
        """Tokens of one picture in a prompt."""
        return int((self.vision["image_size"] // self.vision["patch_size"]) ** 2)


SHAPES = {
    # Llama-2-7B has 32 layers and CLIP-L/14-336 has 24; all else is theirs. 1.2 billion parameters.
    "real": Shape(
        text={
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 4,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
        },
        vision={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 4,
            "num_attention_heads": 16,
            "image_size": 336,
            "patch_size": 14,
            "projection_dim": 768,
        },
        dtype="bfloat16",
    ),
    "tiny": Shape(
        text={
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 1024,
        },
        vision={
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
            "projection_dim": 64,
        },
        dtype="float32",
    ),
}


def make(out: Path, shape_name: str, shipped: Path, processor_from: str = HUB_NAME) -> str:
    """Write model and processor into a new directory; what was made, in a line.

    Args:
        shape_name: of `SHAPES`.
        shipped: the pocket model, whose tokenizer takes the real one's place.
        processor_from: directory or hub name (of which only a copy on disk is used).
    """
    import torch

    shape = SHAPES[shape_name]
    out.mkdir(parents=True, exist_ok=True)
    real = _real_processor(processor_from) if shape_name == "real" else None
    processor = real or _made_processor(shipped, shape, widen=shape_name == "real")
    processor.save_pretrained(out)
    rows = ROWS if shape_name == "real" else len(processor.tokenizer)
    torch.manual_seed(0)
    model = _random_model(shape, processor, rows)
    model.to(getattr(torch, shape.dtype)).save_pretrained(out)
    facts = {
        "shape": shape_name,
        "layers": shape.text["num_hidden_layers"],
        "vision layers": shape.vision["num_hidden_layers"],
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "dtype": shape.dtype,
        "tokenizer": "LLaVA-1.5's own" if real else "made from the pocket model's",
        "image tokens": _check_image_tokens(processor, shape),
    }
    write_text(out / "made.json", json.dumps(facts, indent=2) + "\n")
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _real_processor(name: str) -> Any | None:
    """LLaVA-1.5's processor from a directory or from the hub's copy on
    disk; None without either.
    """
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(name, local_files_only=True)
    except OSError as error:
        if Path(name).is_dir():
            raise UserError(f"{name} has no processor that loads: {error}") from error
        return None


def _made_processor(shipped: Path, shape: Shape, widen: bool) -> Any:
    """The pocket model's processor with this shape's picture; widened to as many ids as Llama-2."""
    from transformers import AutoProcessor, LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    small = AutoProcessor.from_pretrained(shipped)
    tokenizer = small.tokenizer
    if widen:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=_widened(tokenizer.backend_tokenizer, IDS),
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
            unk_token="<unk>",
            extra_special_tokens={"image_token": "<image>"},
            clean_up_tokenization_spaces=False,
            model_max_length=4096,
        )
        tokenizer.chat_template = small.tokenizer.chat_template
    size = shape.vision["image_size"]
    images = CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=shape.vision["patch_size"],
        vision_feature_select_strategy="default",
        chat_template=tokenizer.chat_template,
        num_additional_image_tokens=1,
    )


def _widened(tokenizer: Any, ids: int) -> Any:
    """The same tokenizer with words that no text is cut into, so that every
    sampled id has a text.
    """
    from tokenizers import Tokenizer

    description = json.loads(tokenizer.to_str())
    vocabulary = description["model"]["vocab"]
    for index in range(tokenizer.get_vocab_size(), ids):
        vocabulary[f"<{index}>"] = index
    return Tokenizer.from_str(json.dumps(description))


def _random_model(shape: Shape, processor: Any, rows: int) -> Any:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    tokenizer = processor.tokenizer
    text = LlamaConfig(
        **shape.text,
        vocab_size=rows,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**shape.vision),
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=shape.image_tokens,
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config)


def _check_image_tokens(processor: Any, shape: Shape) -> int:
    """How many tokens the processor makes of a picture: as many as the vision tower has patches."""
    from PIL import Image

    text = "USER: <image>\nWhich digit? ASSISTANT:"
    ids = processor(text=text, images=[Image.new("RGB", (64, 48))])["input_ids"][0]
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    found = sum(token == image for token in ids)
    if found != shape.image_tokens:
        raise UserError(
            f"the processor makes {found} tokens of a picture, the vision tower "
            f"{shape.image_tokens}: name LLaVA-1.5's own processor by PROCESSOR=DIR"
        )
    return found
