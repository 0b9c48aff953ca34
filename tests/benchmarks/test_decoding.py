"""What VCD and OPERA cost against plain greedy decoding: paired ratios of time, and memory.

    python -m pytest tests/benchmarks/test_decoding.py -s

The pocket model, and a LLaVA of random weights with LLaVA-1.5's 576 image tokens, an eighth of its
width and a quarter of its layers, where the memory is that of caches; both in float32 on one
thread. Every method writes the same number of tokens: none may end early. Alternating; the median
of the paired ratios, the smallest and the largest; the process's peak beyond the loaded model.
"""

import ctypes
import gc
import re
import time
from pathlib import Path
from statistics import median

import pytest
import torch

from data_prep.engines import Sampling
from eval.decoding.opera import Opera, OperaSearch
from eval.decoding.vcd import Vcd

POCKET = Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model"
ROUNDS = 5
SAMPLING = Sampling(0)


def pocket():
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(POCKET, dtype=torch.float32).eval()


def eighth_of_7b():
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
    from transformers import LlavaForConditionalGeneration as Llava

    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=336,
        patch_size=14,
        projection_dim=96,
    )
    text = LlamaConfig(
        vocab_size=32064,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=8,
        num_attention_heads=4,
        max_position_embeddings=4096,
    )
    torch.manual_seed(0)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=32000)
    return Llava(config).eval()


def prompts(model, rows):
    """An image and 32 tokens of text a row."""
    config = model.config
    vision = config.vision_config
    generator = torch.Generator().manual_seed(0)
    patches = (vision.image_size // vision.patch_size) ** 2
    text = torch.randint(10, 700, (rows, 32), generator=generator)
    ids = torch.cat([torch.full((rows, patches), config.image_token_id), text], 1)
    pixels = torch.randn(rows, 3, vision.image_size, vision.image_size, generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}


def methods(model, inputs):
    """name -> keywords of `generate`, made anew for each call."""
    seeds = list(range(len(inputs["input_ids"])))
    return {
        "plain": dict,
        "beam search, 5 beams": lambda: {"num_beams": 5},
        "VCD": lambda: {
            "logits_processor": [Vcd().steering(model, inputs, seeds, SAMPLING).adjust]
        },
        "OPERA": lambda: {"custom_generate": OperaSearch(Opera())},
    }


class Memory:
    """The process's peak in MiB beyond what it held before."""

    def __enter__(self):
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed before is not held any more
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        self._before = self._status("VmRSS")
        return self

    def __exit__(self, *_):
        self.peak = (self._status("VmHWM") - self._before) / 1024

    @staticmethod
    def _status(name):
        return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


@pytest.mark.parametrize(
    ("build", "rows", "tokens"),
    [
        pytest.param(pocket, 1, 64, id="pocket"),
        pytest.param(pocket, 8, 64, id="pocket in batches of 8"),
        pytest.param(eighth_of_7b, 1, 32, id="an eighth of 7B"),
    ],
)
def test_cost_against_plain_decoding(build, rows, tokens, request):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = build()
    inputs = prompts(model, rows)
    lengths = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
    seconds = {name: [] for name in methods(model, inputs)}
    peaks = {}
    for _ in range(ROUNDS + 1):  # the first warms up
        for name, options in methods(model, inputs).items():
            with Memory() as memory:
                start = time.perf_counter()
                output = model.generate(**inputs, **lengths, pad_token_id=3, **options())
                seconds[name].append(time.perf_counter() - start)
            peaks[name] = max(memory.peak, peaks.get(name, 0))
            assert output.shape == (rows, inputs["input_ids"].shape[1] + tokens)
    print(f"\n{request.node.callspec.id}, {tokens} tokens, medians of {ROUNDS} paired rounds:")
    for name, taken in seconds.items():
        ratios = [t / plain for t, plain in zip(taken[1:], seconds["plain"][1:], strict=True)]
        print(
            f"  {name:22} {median(ratios):5.2f} times plain "
            f"[{min(ratios):.2f}, {max(ratios):.2f}], "
            f"{rows * tokens / median(taken[1:]):7.1f} tokens/s, {peaks[name]:8.1f} MiB"
        )
    torch.set_num_threads(threads)
