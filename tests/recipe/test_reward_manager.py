"""The reward through verl's own loaders: as a bare function, and as the manager that adds the image."""

import asyncio
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tensordict import TensorDict

from recipe.difficulty_calib.expert_watch import REPORT_KEY
from reward_fns.difficulty import Coefficients, save_coefficients

RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 1.0"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})


@pytest.fixture
def config(tmp_path):
    save_coefficients(tmp_path / "c.yaml", {"toy": Coefficients(1.0, 2.0, 0.5, 0.25)})
    reward = {
        "reward_manager": {"source": "register", "name": "difficulty_guided"},
        "custom_reward_function": {
            "path": "pkg://reward_fns.compute_score",
            "name": "compute_score",
            "reward_kwargs": {
                "rule": "paper",
                "coefficients": str(tmp_path / "c.yaml"),
                "expert": "oracle",
            },
        },
    }
    return OmegaConf.create({"reward": reward})


def manager(config, tokenizer):
    from verl.trainer.ppo.reward import load_reward_manager

    return load_reward_manager(config, tokenizer)


def rollout(tokenizer, response: str):
    from verl import DataProto

    ids = torch.tensor([tokenizer.encode(response, add_special_tokens=False)])
    prompt = torch.zeros((1, 3), dtype=torch.long)
    mask = torch.ones((1, 3 + ids.shape[1]), dtype=torch.long)
    raw_prompt = [
        {"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (4, 4))}]}
    ]
    fields = {
        "data_source": "toy",
        "reward_model": {"ground_truth": TRUTH},
        "extra_info": {"question": "Which digit?", "task": "QA", "question_id": "q1"},
        "raw_prompt": raw_prompt,
    }
    arrays = {}
    for key, value in fields.items():
        arrays[key] = np.empty(1, dtype=object)
        arrays[key][0] = value
    batch = TensorDict({"prompts": prompt, "responses": ids, "attention_mask": mask}, batch_size=1)
    return DataProto(batch=batch, non_tensor_batch=arrays)


@pytest.fixture(scope="module")
def tokenizer(pocket_model):
    from verl.utils import hf_tokenizer

    return hf_tokenizer(str(pocket_model))


def test_the_manager_scores_a_right_sure_answer_by_algorithm_1(config, tokenizer):
    result = asyncio.run(manager(config, tokenizer).run_single(rollout(tokenizer, RIGHT)))
    # alpha * 1 + beta * 1 + gamma * 1 - delta * 0 = 1 + 2 + 0.5
    assert result["reward_score"] == pytest.approx(3.5)
    assert result["reward_extra_info"]["acc"] == 1.0


def test_manager_and_bare_function_agree(config, tokenizer):
    from verl.trainer.ppo.reward import get_custom_reward_fn

    info = {"question": "Which digit?", "task": "QA"}
    bare = asyncio.run(get_custom_reward_fn(config)("toy", RIGHT, TRUTH, extra_info=info))
    managed = asyncio.run(manager(config, tokenizer).run_single(rollout(tokenizer, RIGHT)))[
        "reward_extra_info"
    ]
    assert bare == {key: value for key, value in managed.items() if key != REPORT_KEY}


class FailingExpert:
    """An expert that gives no verdict (stands for a service that is down)."""

    name = "failing"

    async def ask(self, request):
        assert request.image is not None and request.image.startswith(b"\x89PNG")
        raise TimeoutError("the service is down")


def test_a_failed_expert_is_marked_and_logged_and_the_image_was_given_to_it(
    config, tokenizer, caplog
):
    difficulty_guided = manager(config, tokenizer)
    difficulty_guided.reward.expert = FailingExpert()
    with caplog.at_level("WARNING"):
        reward = asyncio.run(difficulty_guided.run_single(rollout(tokenizer, RIGHT)))[
            "reward_extra_info"
        ]
    assert reward["expert_failed"] == 1.0
    assert "no verdict for question q1: TimeoutError: the service is down" in caplog.text
