"""Of every test: nothing is fetched from a hub or reported to anybody, verl runs on the CPU.

Shared: a random LLaVA in hub layout and a random Qwen2.5-VL, a LoRA adapter for it,
a parquet of questions.
"""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
    RAY_USAGE_STATS_ENABLED="0",
    VERL_PLATFORM="cpu",
    # As `recipe.difficulty_calib.plugin.keep_warnings`, for tests that import vLLM without it.
    SAGEMAKER_CONTAINER_LOG_LEVEL="WARNING",
)

# Servers and helpers that tests of several folders use.
sys.path += [str(Path(__file__).parent / "servers"), str(Path(__file__).parent)]

ANSWER = "1. The digit is 7. I'm sure.\nConfidence: 0.7"


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory):
    import torch

    from data_prep.pocket import model

    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = model.build_tokenizer([ANSWER])
    model.save(model.build_model(tokenizer), model.build_processor(tokenizer), directory)
    return directory


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory):
    from tiny_qwen import write_tiny_qwen

    path = tmp_path_factory.mktemp("qwen") / "tiny-qwen2.5-vl"
    write_tiny_qwen(path, Path(__file__).parents[1] / "data_prep" / "pocket" / "base_model")
    return path


@pytest.fixture(scope="session")
def placeholder_llava(tmp_path_factory):
    """The pocket model with a head that makes `<image>` nearly always the most
    probable next token.
    """
    import shutil

    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer, LlavaForConditionalGeneration

    pocket = Path(__file__).parents[1] / "data_prep" / "pocket" / "base_model"
    model = LlavaForConditionalGeneration.from_pretrained(pocket, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(pocket)
    with torch.inference_mode():
        said = [f"USER: \nWhich digit is it? ASSISTANT: The digit is {d}.</s>" for d in range(10)]
        ids = [tokenizer(text, return_tensors="pt").input_ids for text in (ANSWER, *said)]
        states = [
            model.model.language_model(input_ids=i).last_hidden_state[0] for i in ids
        ]  # (T, D)
    directory = tmp_path_factory.mktemp("models") / "placeholder"
    shutil.copytree(pocket, directory)
    weights = load_file(directory / "model.safetensors")
    (head,) = [name for name in weights if name.endswith("lm_head.weight")]
    # Least squares: the token's logit is about 100 wherever the model is, others are below 30.
    seen = torch.cat(states)
    row = torch.linalg.lstsq(seen, torch.full((len(seen), 1), 100.0), driver="gelsd").solution
    weights[head][model.config.image_token_id] = row[:, 0]
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


@pytest.fixture(scope="session")
def lora_adapter(tiny_llava):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(1)
    base = AutoModelForImageTextToText.from_pretrained(tiny_llava, dtype=torch.float32)
    targets = r".*language_model.*\.(q_proj|v_proj|down_proj)"
    config = LoraConfig(r=4, lora_alpha=32, target_modules=targets, init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(tiny_llava.parent / "adapter")
    return tiny_llava.parent / "adapter"


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory):
    """A real vLLM OpenAI server of the shipped pocket model: `url` (ending in /v1), `model`;
    stopped at the end.
    """
    from vllm_server import VllmServer

    pocket = Path(__file__).parents[1] / "data_prep" / "pocket" / "base_model"
    with VllmServer(pocket, tmp_path_factory.mktemp("vllm") / "log.txt") as server:
        yield server


def _png(seed):
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def question_rows():
    def rows(n=4):
        return [
            {
                "data_source": f"pocket-{i % 2}",
                "prompt": [{"role": "user", "content": "<image>\nWhich digit?"}],
                "images": [{"bytes": _png(i)}],
                "ability": "QA",
                "reward_model": {
                    "style": "rule",
                    "ground_truth": json.dumps({"task": "QA", "facts": ["The digit is 7."]}),
                },
                "extra_info": {
                    "split": "test",
                    "index": i,
                    "question_id": f"q{i}",
                    "question": "Which digit?",
                    "task": "QA",
                    "image_id": f"im{i}",
                    "entity": "",
                },
            }
            for i in range(n)
        ]

    return rows


@pytest.fixture
def write_questions(tmp_path):
    def write(rows):
        import pyarrow
        import pyarrow.parquet

        path = tmp_path / "questions.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return path

    return write


LONGEST_FIRST = (
    "test_main_job.py",
    "test_gpu_check_run.py",
    "test_grpo_runs.py",
    "test_sft_export.py",
    "test_expert_failure.py",
    "test_other_recipe.py",
    "test_calibration_runs.py",
    "test_engines.py",
    "test_wheel.py",  # last by name, and waits for pip
)
"""Files that take minutes: begun last they would run alone at the end, with a core idle."""


def pytest_collection_modifyitems(items):
    rank = {name: position for position, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
