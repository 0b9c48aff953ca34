"""A randomly initialised Qwen2.5-VL for tests."""

from pathlib import Path


def write_tiny_qwen(path: Path, tokenizer_of: Path) -> None:
    """A randomly initialised Qwen2.5-VL of a few hundred thousand parameters
    (model, tokenizer, processor) at `path`.

    Args:
        tokenizer_of: model directory whose vocabulary is taken;
            Qwen's special tokens are added to it.
    """
    import torch
    from transformers import (
        AutoTokenizer,
        PreTrainedTokenizerFast,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
    )
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    source = AutoTokenizer.from_pretrained(tokenizer_of)
    names = {
        name: getattr(source, name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")
    }
    # Anew, without LLaVA's image token, which Qwen's processor would take for its own.
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=source.backend_tokenizer, **names)
    special = [
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
        "<|im_start|>",
        "<|im_end|>",
    ]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    start, end, image, video = (tokenizer.convert_tokens_to_ids(token) for token in special[:4])
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        "{% if m['content'] is string %}{{ m['content'] }}"
        "{% else %}{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer.chat_template = template
    sizes = {"min_pixels": 56 * 56, "max_pixels": 112 * 112}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**sizes),
        chat_template=template,
    )
    text = dict(
        vocab_size=len(tokenizer),
        hidden_size=128,  # four heads of 32: vLLM's CPU backend has no kernel for heads of 16
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        rope_scaling={"type": "mrope", "rope_type": "default", "mrope_section": [4, 6, 6]},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    vision = dict(
        depth=2,
        hidden_size=64,
        intermediate_size=128,
        num_heads=4,
        out_hidden_size=128,
        fullatt_block_indexes=[1],
    )
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(path)
    processor.save_pretrained(path)
    tokenizer.save_pretrained(path)
