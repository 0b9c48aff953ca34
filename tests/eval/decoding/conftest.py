"""Models to decode with, and prompts for them in a batch of unequal lengths, padded on the left."""

import io
from pathlib import Path

import numpy as np
import pytest

from data_prep.engines import GenerationRequest
from data_prep.engines.chat import chat_text, open_image

POCKET = Path(__file__).parents[3] / "data_prep" / "pocket" / "base_model"
TEXTS = ("Which digit is it?", "Describe the picture. Say how sure you are of each claim.", "What?")


@pytest.fixture(autouse=True)
def one_thread():
    """Of such small models, several threads wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", params=["pocket", "llava", "qwen"])
def directory(request):
    """Of the pocket model, a random LLaVA and a random Qwen2.5-VL."""
    fixtures = {"llava": "tiny_llava", "qwen": "tiny_qwen"}
    if request.param == "pocket":
        return POCKET
    return request.getfixturevalue(fixtures[request.param])


@pytest.fixture(scope="session")
def requests():
    from PIL import Image

    made = []
    for number, text in enumerate(TEXTS):
        content = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(content, "PNG")
        parts = [{"type": "image"}, {"type": "text", "text": text}]
        made.append(
            GenerationRequest([{"role": "user", "content": parts}], 10 * number, content.getvalue())
        )
    return made


class Loaded:
    """A model with its processor, as the engine loads them."""

    def __init__(self, path):
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(path)
        self.processor.tokenizer.padding_side = "left"

    def inputs(self, requests):
        texts = [chat_text(self.processor, request.messages) for request in requests]
        images = [[open_image(request.image)] for request in requests]
        return self.processor(text=texts, images=images, padding=True, return_tensors="pt")

    def logits_without_cache(self, inputs, ids, **options):
        """Output of one forward pass over an unpadded prompt and the tokens `ids` behind it."""
        import torch

        more = torch.tensor([ids], dtype=torch.long)
        longer = dict(inputs) | {
            "input_ids": torch.cat([inputs["input_ids"], more], 1),
            "attention_mask": torch.ones(1, inputs["input_ids"].shape[1] + len(ids)),
        }
        if "mm_token_type_ids" in inputs:
            longer["mm_token_type_ids"] = torch.cat(
                [inputs["mm_token_type_ids"], torch.zeros_like(more)], 1
            )
        with torch.no_grad():
            return self.model(**longer, use_cache=False, **options)


@pytest.fixture(scope="session")
def pocket():
    return POCKET


@pytest.fixture(scope="session")
def load():
    return Loaded


@pytest.fixture(scope="session")
def loaded(directory):
    return Loaded(directory)
