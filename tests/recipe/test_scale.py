"""The estimate of the 7B run: its counts are transformers' and peft's, its page is the script's."""

from pathlib import Path

import pytest

from recipe.difficulty_calib.scale import assumed, estimate, page, profile
from recipe.difficulty_calib.scale.shapes import Llava

ROOT = Path(__file__).parents[2]
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@pytest.fixture(scope="module")
def on_meta():
    """LLaVA-1.5-7B's modules without memory for their weights."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    # LlamaConfig's defaults are Llama-2-7B's sizes.
    config = LlavaConfig(vision_config=vision, text_config=LlamaConfig(vocab_size=32064))
    config.tie_word_embeddings = False
    with torch.device("meta"):
        return LlavaForConditionalGeneration(config)


def test_parameters_are_those_of_transformers(on_meta):
    assert Llava().parameters == sum(weight.numel() for weight in on_meta.parameters())


def test_the_adapter_is_the_size_of_pefts(on_meta):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(on_meta, LoraConfig(r=64, target_modules=TARGETS))
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert Llava().adapter(64) == trained


def test_keys_and_values_by_hand():
    # 2 (keys, values) x 32 layers x 4096 x 2 bytes = half a MiB a token
    assert Llava().kv_bytes == 2**19


def test_a_card_holds_its_shard():
    options = profile.read(8)
    # fp32 base and, for each weight of the adapter, itself, gradient and two moments: 16 bytes
    whole = 7_063_427_072 * options.base_bytes + 159_907_840 * 16
    assert estimate.held_bytes(options, 8) == whole / 8


def test_more_cards_are_never_slower_but_for_the_expert():
    options = profile.read(8)
    node, two = (estimate.step(options, assumed.Setup(assumed.A100, n, 8)) for n in (1, 2))
    assert two.rollouts < node.rollouts and two.log_probs < node.log_probs
    assert two.update < node.update and two.expert == node.expert


def test_the_page_is_what_the_script_prints():
    written = (ROOT / "recipe/difficulty_calib/SCALE.md").read_text(encoding="utf-8")
    assert written == page.text(), f"make it anew: {page.COMMAND}"
