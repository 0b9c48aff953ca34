"""The base LLaVA: tokenizer, processor, configuration, and saving in the hub's layout."""

import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from data_prep.pocket.draw import IMAGE_SIZE

PATCH_SIZE = 8
IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2
VOCABULARY = 832
SPECIAL_TOKENS = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]

# A word takes its leading space along, every digit is a token of its own, punctuation
# takes a final newline along.
_WORDS = r" ?\p{L}+(?:'\p{L}+)?| ?\p{N}| ?[^\s\p{L}\p{N}]+\n?|\s+"

CHAT_TEMPLATE = (
    "{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}{{ ' ' }}{% endif %}{{ m['role'].upper() + ': ' }}"
    "{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}{{ '<image>\\n' }}"
    "{% elif c['type'] == 'text' %}{{ c['text'].lstrip('\\n') }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)
"""LLaVA-1.5's form, "USER: <image>\\nquestion ASSISTANT: answer</s>". The space before
ASSISTANT belongs to that turn, so that turns tokenised one by one (verl's SFT) give the same
tokens as the whole conversation."""


def prompt_text(prompt: str) -> str:
    """A one-turn prompt about one image, as the chat template renders it."""
    return f"USER: <image>\n{prompt} ASSISTANT:"


def pixel_values(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """What CLIP's image processor makes of 32 x 32 images: (n, 32, 32, 3)
    uint8 -> (n, 3, 32, 32) float32.
    """
    scaled = torch.from_numpy(images).float().div_(255)
    return (
        ((scaled - torch.tensor(OPENAI_CLIP_MEAN)) / torch.tensor(OPENAI_CLIP_STD))
        .permute(0, 3, 1, 2)
        .contiguous()
    )


def build_tokenizer(corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE (nothing is unknown) in which the words of the corpus are single tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The processor: CLIP's normalisation at 32 x 32, and the expansion of <image>
    into the image tokens.
    """
    images = CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        num_additional_image_tokens=1,
    )


def build(texts: Iterable[str]) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A new model and its processor, with a tokenizer made from `texts`."""
    tokenizer = build_tokenizer(texts)
    return build_model(tokenizer), build_processor(tokenizer)


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """A randomly initialised LLaVA of 1.7 million parameters; the features come from
    CLIP's last layer but one.
    """
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=320,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=128,
        initializer_range=0.03,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        initializer_range=0.06,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=IMAGE_TOKENS,
    )
    net = LlavaForConditionalGeneration(config)
    # The library's 0.02 is for widths of a thousand: here places would drown in patches,
    # and layers in the residual.
    tower = net.model.vision_tower
    torch.nn.init.normal_(tower.embeddings.position_embedding.weight, std=0.3)
    return net


def warmup_cosine(
    optimizer: torch.optim.Optimizer, warmup: int, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then a cosine from the full rate to a fiftieth of it at the last step."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda i: min(
            (i + 1) / warmup, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(i / steps, 1.0)))
        ),
    )


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Write model and processor to `out`, whole or not at all; weights are named as on the hub."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.save_pretrained(partial)
    processor.save_pretrained(partial)
    path = partial / "model.safetensors"
    save_file(
        {_hub_name(k): v for k, v in load_file(path).items()}, path, metadata={"format": "pt"}
    )
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(partial, out)
    shutil.rmtree(old, ignore_errors=True)


def _hub_name(name: str) -> str:
    # transformers >= 5.7 drops a level that the hub's LLaVA checkpoints, and vLLM, have.
    if name.startswith("vision_tower.") and not name.startswith("vision_tower.vision_model."):
        return name.replace("vision_tower.", "vision_tower.vision_model.", 1)
    return name


def load(path: Path) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Model (float32, evaluation mode) and processor from a directory that `save` wrote.

    Raises:
        FileNotFoundError: no model there; the message names the command that makes one.
    """
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            f"no model at {path}; make one with: python -m data_prep.pocket base --out {path}"
        )
    model = LlavaForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
    processor = build_processor(tokenizer)
    return model, processor
