"""OpenRLHF and EasyR1: by their documented signatures, since neither can be installed beside verl.

OpenRLHF: reward_func(queries, prompts, labels, **kwargs) -> {"rewards", "scores", "extra_logs"} of
tensors (its examples/python/reward_func.py). EasyR1: compute_score(reward_input or list) -> dict(s)
with "overall" (its examples/reward_function/).
"""

import json

import pytest
import torch

from reward_fns.adapters.easyr1 import make_compute_score
from reward_fns.adapters.openrlhf import make_reward_func
from reward_fns.errors import ConfigurationError
from reward_fns.expert import AnswerVerdict, ExpertError, Source

RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 1.0"
WRONG = "1. The digit is 3. I'm sure.\nConfidence: 1.0"
TRUTH = {"task": "QA", "facts": ["The digit is 7."]}
LABEL = json.dumps({"question": "Which digit?", "ground_truth": TRUTH, "data_source": "toy"})
PROMPT = "<|im_start|>user\nWhich digit?<|im_end|>\n<|im_start|>assistant\n"


class Flaky:
    """Right is what says 7; no verdict on what says "down"."""

    name = "flaky"

    async def ask(self, request):
        if "down" in request.response:
            raise ExpertError("down")
        right = "7" in request.response
        return AnswerVerdict((int(right),) * len(request.claims), float(right), Source("flaky"))


def test_openrlhf_gets_its_dict_and_the_prompt_is_taken_off_exactly():
    reward = make_reward_func(expert="oracle", coefficients="fixed")
    queries = [PROMPT + RIGHT + "<|im_end|>", PROMPT + WRONG + "</s>"]
    out = reward(queries, [PROMPT] * 2, [LABEL] * 2, step=3)
    # Fixed coefficients: right and sure 3, wrong and sure 0.
    assert out["rewards"].tolist() == [3.0, 0.0] and out["scores"].tolist() == [1.0, 0.0]
    assert all(isinstance(value, torch.Tensor) for value in out["extra_logs"].values())
    assert out["extra_logs"]["well_formed"].tolist() == [1.0, 1.0]
    with pytest.raises(ConfigurationError, match="begin with its prompt"):
        reward([RIGHT], [PROMPT], [LABEL])


def test_openrlhf_takes_a_plain_label_with_the_prompt_s_question():
    reward = make_reward_func(expert=Flaky(), coefficients="fixed", data_source="toy")
    assert reward([PROMPT + RIGHT], [PROMPT], ["7"])["rewards"].tolist() == [3.0]


def test_easyr1_takes_one_input_or_a_list():
    score = make_compute_score(expert="oracle", coefficients="fixed")
    given = [
        {"response": text, "response_length": 9, "ground_truth": LABEL} for text in (RIGHT, WRONG)
    ]
    both = score(given)
    assert [one["overall"] for one in both] == [3.0, 0.0]
    assert [(one["format"], one["accuracy"]) for one in both] == [(1.0, 1.0), (1.0, 0.0)]
    assert score(given[0]) == both[0]
    with pytest.raises(ConfigurationError, match="question"):
        make_compute_score(expert="oracle", coefficients="fixed", data_source="toy")(
            {"response": RIGHT, "response_length": 9, "ground_truth": "7"}
        )


def test_without_a_verdict_a_response_moves_no_advantage():
    down = RIGHT.replace("The digit", "It is down, the digit")
    other = LABEL.replace("Which digit", "What digit")
    score = make_compute_score(expert=Flaky(), coefficients="fixed")
    given = [
        {"response": text, "response_length": 9, "ground_truth": label}
        for text, label in ((RIGHT, LABEL), (WRONG, LABEL), (down, LABEL), (down, other))
    ]
    rewards = [one["overall"] for one in score(given)]
    # The mean of its group's others; alone in its group: the mean of all rewards so far.
    assert rewards == [3.0, 0.0, 1.5, 1.5]
    group = torch.tensor(rewards[:3])
    assert (group - group.mean()).tolist() == [1.5, -1.5, 0.0]


def test_the_same_question_about_another_image_is_another_group():
    """Neither framework hands over images: the reference is what tells such groups apart."""
    down = RIGHT.replace("The digit", "It is down, the digit")
    three = LABEL.replace("The digit is 7.", "The digit is 3.")
    inputs = [
        {"response": text, "response_length": 9, "ground_truth": label}
        for text, label in ((RIGHT, LABEL), (WRONG, three), (down, three))
    ]
    scores = make_compute_score(expert=Flaky(), coefficients="fixed")(inputs)
    assert [one["overall"] for one in scores] == [3.0, 0.0, 0.0]
    reward = make_reward_func(expert=Flaky(), coefficients="fixed")
    queries = [PROMPT + given["response"] for given in inputs]
    labels = [given["ground_truth"] for given in inputs]
    assert reward(queries, [PROMPT] * 3, labels)["rewards"].tolist() == [3.0, 0.0, 0.0]
