"""The prompt that LLaVA-1.5 sees, token by token:
stage one, SFT, GRPO and evaluation give the official one.

The tokenizer is Llama-2's own with LLaVA's two tokens, where its file is at hand;
the image is 576 tokens.
"""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from data_prep.ask_model import image_request
from data_prep.engines.chat import chat_text, open_image
from data_prep.verl_rows import load_questions
from recipe.difficulty_calib.dataset import AnswerSFTDataset, UntouchedImageDataset
from recipe.difficulty_calib.images import images_of
from reward_fns.claims import claim_prompt

SHARED = Path(os.environ.get("DIFFICULTY_CALIB_SHARED", Path(__file__).parents[3] / "shared"))
TOKENIZER = SHARED / "data/llama2_tokenizer/tokenizer.model"
# Renders as the template of llava-hf/llava-1.5-7b-hf: images first, each with a newline;
# a space after each text.
TEMPLATE = (
    "{% for turn in messages %}{{ turn['role'] | upper }}: "
    "{% for part in turn['content'] if part['type'] == 'image' %}<image>{{ '\\n' }}{% endfor %}"
    "{% for part in turn['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


@pytest.fixture(scope="module")
def llava_processor(tmp_path_factory):
    if not TOKENIZER.is_file():
        pytest.skip("Llama-2's tokenizer.model is not at hand (DIFFICULTY_CALIB_SHARED)")
    from transformers import LlamaTokenizerFast, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = tmp_path_factory.mktemp("llama2")
    shutil.copy(TOKENIZER, folder)
    tokenizer = LlamaTokenizerFast.from_pretrained(folder, add_bos_token=True)
    for token in ({"additional_special_tokens": ["<image>"]}, {"pad_token": "<pad>"}):
        tokenizer.add_special_tokens(token)  # one by one: they are 32000 and 32001
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    )
    images.patch_size = 14  # verl reads it here; `patches.llava_processor` sets it
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )


def ids(processor, text, images) -> list[int]:
    return processor(text=[text], images=images, return_tensors="pt")["input_ids"][0].tolist()


def test_the_four_prompts_are_the_official_one(llava_processor, pocket_data, tmp_path):
    processor, file = llava_processor, pocket_data / "rl_train.parquet"
    question = load_questions(file)[0]
    image = open_image(question.image)
    row = pd.read_parquet(file).iloc[0]
    asked = claim_prompt(row["extra_info"]["question"])
    official = ids(processor, f"USER: <image>\n{asked} ASSISTANT:", [image])
    assert official[0] == 1 and processor.tokenizer.convert_tokens_to_ids("<image>") == 32000
    assert official.count(32000) == 576

    request = image_request(asked, question.image, 0)
    assert ids(processor, chat_text(processor, request.messages), [image]) == official
    assert ids(processor, chat_text(processor, question.messages), [image]) == official

    config = OmegaConf.create(
        {"image_key": "images", "max_prompt_length": 1024, "filter_overlong_prompts": False}
    )
    rollouts = UntouchedImageDataset(str(file), processor.tokenizer, config, processor)
    raw = list(rollouts[0]["raw_prompt"])
    text = processor.apply_chat_template(raw, add_generation_prompt=True, tokenize=False)
    assert ids(processor, text, images_of(raw)) == official

    turns = [*row["prompt"], {"role": "assistant", "content": "1. It is 7. I'm sure."}]
    sft = tmp_path / "sft.parquet"
    pd.DataFrame([{"messages": turns, "images": row["images"]}]).to_parquet(sft)
    config = OmegaConf.create({"max_length": 2048, "pad_mode": "no_padding", "truncation": "error"})
    trained = AnswerSFTDataset(str(sft), processor.tokenizer, config=config, processor=processor)[0]
    assert trained["input_ids"][~trained["loss_mask"].bool()].tolist() == official


def test_the_pocket_model_sees_the_ids_that_it_was_trained_with(pocket_model):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(pocket_model)
    asked = claim_prompt("Which digit?")
    before = [{"type": "image"}, {"type": "text", "text": f"\n{asked}"}]
    (now,) = image_request(asked, b"", 0).messages
    assert now["content"] == [{"type": "image"}, {"type": "text", "text": asked}]
    assert chat_text(processor, [now]) == chat_text(
        processor, [{"role": "user", "content": before}]
    )
