"""Images reach the processor untouched;
SFT trains on the ids that a rollout would sample, and on the end of the answer.
"""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from PIL import Image

from recipe.difficulty_calib.dataset import AnswerSFTDataset, UntouchedImageDataset
from recipe.difficulty_calib.images import images_of, open_image


def png(size: tuple[int, int] = (40, 30)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def user_turn(image: dict) -> dict:
    return {
        "role": "user",
        "content": [{"type": "image", **image}, {"type": "text", "text": "\nWhat is it?"}],
    }


def test_an_image_keeps_its_size_and_pixels():
    images, videos, audios = UntouchedImageDataset._process_multi_modal_info(
        [user_turn({"bytes": png()})], 14, None
    )
    assert videos is None and audios is None
    assert np.array_equal(np.asarray(images[0]), np.asarray(Image.open(BytesIO(png()))))


def test_a_prompt_without_image_has_none():
    messages = [{"role": "user", "content": "hello"}]
    assert UntouchedImageDataset._process_multi_modal_info(messages, 14, None)[0] is None
    assert images_of(messages) == []


def test_a_missing_image_file_is_named():
    with pytest.raises(ValueError, match="no-such.png does not exist"):
        open_image({"image": "no-such.png"})


def test_bytes_that_are_no_image_are_an_error():
    with pytest.raises(ValueError, match="cannot be read"):
        open_image({"bytes": b"not a picture"})


@pytest.fixture(scope="module")
def sft_row(tmp_path_factory, pocket_model):
    from verl.utils import hf_processor, hf_tokenizer

    answer = "1. The digit is 7. I'm sure.\nConfidence: 0.7"
    row = {
        "messages": [
            {"role": "user", "content": "<image>\nWhat is it?"},
            {"role": "assistant", "content": answer},
        ],
        "images": [{"bytes": png((32, 32))}],
    }
    path = tmp_path_factory.mktemp("sft") / "sft.parquet"
    pd.DataFrame([row]).to_parquet(path)
    tokenizer, processor = hf_tokenizer(str(pocket_model)), hf_processor(str(pocket_model))
    config = OmegaConf.create({"max_length": 256, "pad_mode": "no_padding", "truncation": "error"})
    dataset = AnswerSFTDataset(str(path), tokenizer, config=config, processor=processor)
    return dataset[0], tokenizer, processor, answer


def test_sft_loss_is_on_the_answer_and_its_end(sft_row):
    row, tokenizer, _, answer = sft_row
    trained = row["input_ids"][row["loss_mask"].bool()]
    assert trained[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(trained[:-1]).strip() == answer


def test_sft_prompt_is_the_rollouts_prompt(sft_row):
    row, _, processor, _ = sft_row
    text = processor.apply_chat_template(
        [user_turn({})], add_generation_prompt=True, tokenize=False
    )
    image = Image.open(BytesIO(png((32, 32))))
    rollout = processor(text=[text], images=[image], return_tensors="pt")["input_ids"][0]
    prompt = row["input_ids"][~row["loss_mask"].bool()]
    assert prompt.tolist() == rollout.tolist()
    assert (prompt == processor.image_token_id).sum() > 1


def questions(words: list[int]) -> pd.DataFrame:
    """One row for each number of words in its question."""
    turns = [[{"role": "user", "content": "<image>\n" + "word " * number}] for number in words]
    return pd.DataFrame({"prompt": turns, "images": [[{"bytes": png((32, 32))}]] * len(words)})


def rl_dataset(pocket_model, path, **options):
    from verl.utils import hf_processor

    processor = hf_processor(str(pocket_model))
    config = OmegaConf.create({"image_key": "images", "filter_overlong_prompts": True} | options)
    return UntouchedImageDataset(str(path), processor.tokenizer, config, processor)


@pytest.fixture
def long_prompts(tmp_path, pocket_model):
    """A parquet file with one prompt of five that is long, and the tokens of a short one."""
    path = tmp_path / "rl.parquet"
    questions([1, 1, 60, 1, 1]).to_parquet(path)
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(pocket_model)
    text = processor.apply_chat_template(
        [user_turn({})], add_generation_prompt=True, tokenize=False
    ).replace("What is it?", "word ")
    image = Image.open(BytesIO(png((32, 32))))
    return path, len(processor(text=[text], images=[image])["input_ids"][0])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_prompt_that_is_too_long_is_left_out_and_counted(
    long_prompts, pocket_model, capsys, workers
):
    path, short = long_prompts
    options = {"max_prompt_length": short, "filter_overlong_prompts_workers": workers}
    assert len(rl_dataset(pocket_model, path, **options)) == 4  # at the limit is not over it
    said = capsys.readouterr().out
    assert f"1 of 5 rows are longer than data.max_prompt_length={short} tokens" in said


def test_prompts_that_are_all_too_long_are_an_error(long_prompts, pocket_model):
    path, short = long_prompts
    with pytest.raises(ValueError, match=r"all 5 rows are longer than data.max_prompt_length"):
        rl_dataset(pocket_model, path, max_prompt_length=short - 1)


def test_a_prompt_that_cannot_be_read_is_no_long_one(tmp_path, pocket_model):
    path = tmp_path / "rl.parquet"
    rows = questions([1, 1])
    rows.at[1, "images"] = [{"bytes": b"not a picture"}]
    rows.to_parquet(path)
    with pytest.raises(ValueError, match=r"row 1 of .*rl.parquet.*cannot identify"):
        rl_dataset(pocket_model, path, max_prompt_length=192)


def test_an_sft_row_that_is_too_long_is_left_out_and_counted(tmp_path, pocket_model, capsys):
    from verl.utils import hf_processor

    answers = [{"role": "assistant", "content": text} for text in ("a", "b " * 200, "c")]
    rows = questions([1, 1, 1])
    rows["messages"] = [[*turns, last] for turns, last in zip(rows.prompt, answers, strict=True)]
    rows[["messages", "images"]].to_parquet(path := tmp_path / "sft.parquet")
    processor = hf_processor(str(pocket_model))
    config = OmegaConf.create({"max_length": 100, "pad_mode": "no_padding", "truncation": "error"})
    made = AnswerSFTDataset(str(path), processor.tokenizer, config=config, processor=processor)
    assert "1 of 3 rows are longer than data.max_length=100 tokens" in capsys.readouterr().out
    ends = [processor.tokenizer.decode(made[place]["input_ids"][-2:-1]) for place in range(2)]
    assert [end.strip() for end in ends] == ["a", "c"]
