"""What stage one writes, the recipe trains:
rows of `data_prep.verl_rows` through the datasets that verl is given.
"""

import io

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from data_prep.steps import r_tuning
from data_prep.verl_rows import question_writer, sft_writer
from recipe.difficulty_calib.dataset import AnswerSFTDataset, UntouchedImageDataset
from recipe.difficulty_calib.preflight.inputs import check_parquet
from reward_fns.claims import claim_prompt

FACT = "A red 3 is at the top left."
PROMPT = {"role": "user", "content": f"<image>\n{claim_prompt('Describe the image.')}"}


@pytest.fixture(scope="module")
def loaders(pocket_model):
    from verl.utils import hf_processor, hf_tokenizer

    return hf_tokenizer(str(pocket_model)), hf_processor(str(pocket_model))


@pytest.fixture
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(params=["bytes", "image"])
def image(request, tmp_path, picture):
    """The kind of image and an image of this kind."""
    (tmp_path / "i.png").write_bytes(picture)
    return request.param, picture if request.param == "bytes" else str(tmp_path / "i.png")


def test_rl_rows(tmp_path, loaders, image, picture):
    kind, content = image
    row = {
        "data_source": "pocket-scene",
        "prompt": [PROMPT],
        "images": [{kind: content}],
        "ability": "Detail",
        "reward_model": {"style": "rule", "ground_truth": "truth"},
        "extra_info": {
            "split": "train",
            "index": 0,
            "question_id": "q0",
            "question": "Describe the image.",
            "task": "Detail",
            "image_id": "i",
            "entity": "",
            "answers": [],
            "subset": "neutral",
            "share_true": 0.3,
        },
    }
    with question_writer(tmp_path / "rl.parquet", kind) as out:
        out.write(row)
    assert len(check_parquet(str(tmp_path / "rl.parquet"), "images")) == 1
    tokenizer, processor = loaders
    config = OmegaConf.create(
        {"cache_dir": str(tmp_path), "max_prompt_length": 256, "filter_overlong_prompts": False}
    )
    read = UntouchedImageDataset(str(tmp_path / "rl.parquet"), tokenizer, config, processor)[0]
    assert read["extra_info"]["subset"] == "neutral" and read["extra_info"]["entity_rarity"] is None
    images, _, _ = UntouchedImageDataset._process_multi_modal_info(read["raw_prompt"], 8, config)
    assert np.array_equal(np.asarray(images[0]), np.asarray(Image.open(io.BytesIO(picture))))


@pytest.mark.parametrize(
    "answer",
    [f"1. {FACT} I'm sure.\nConfidence: 0.7", r_tuning.render([FACT], False)],
    ids=["sft", "r_tuning"],
)
def test_sft_rows(tmp_path, loaders, image, answer):
    kind, content = image
    with sft_writer(tmp_path / "sft.parquet", kind) as out:
        out.write(
            {
                "messages": [PROMPT, {"role": "assistant", "content": answer}],
                "images": [{kind: content}],
                "data_source": "pocket-scene",
                "question_id": "q0",
            }
        )
    tokenizer, processor = loaders
    config = OmegaConf.create({"max_length": 256, "pad_mode": "no_padding", "truncation": "error"})
    row = AnswerSFTDataset(
        str(tmp_path / "sft.parquet"), tokenizer, config=config, processor=processor
    )[0]
    assert tokenizer.decode(row["input_ids"][row["loss_mask"].bool()][:-1]).strip() == answer
    assert (row["input_ids"] == processor.image_token_id).sum() == 16
