"""The adapter in TRL's own trainer, and by the call that TRL and ms-swift make."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from judge_server import JudgeServer
from PIL import Image

from reward_fns.adapters.swift import make_orm
from reward_fns.adapters.trl import make_reward_func
from reward_fns.errors import ConfigurationError
from reward_fns.expert import AnswerVerdict, ExpertError, Source

ROOT = Path(__file__).resolve().parents[3]
TRL = "1.16.0"
RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 1.0"
WRONG = "1. The digit is 3. I'm sure.\nConfidence: 1.0"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
COLUMNS = {
    "ground_truth": [TRUTH, TRUTH],
    "data_source": ["toy", "toy"],
    "question": ["Which digit?", "Which digit?"],
}
# Coefficients fixed, all 1: right and sure 1 + 1 + 1 - 0; wrong and sure 0 + 0 + 1 - 1.
REWARDS = [3.0, 0.0]


class Recording:
    """An expert that keeps its requests, and fails on answers that say "down"."""

    name = "recording"

    def __init__(self):
        self.requests = []

    async def ask(self, request):
        self.requests.append(request)
        if "down" in request.response:
            raise ExpertError("down")
        return AnswerVerdict((1,) * len(request.claims), 1.0, Source("recording"))


def test_columns_come_as_lists_and_completions_as_text_or_chat():
    reward = make_reward_func(expert="oracle", coefficients="fixed")
    chats = [[{"role": "assistant", "content": text}] for text in (RIGHT, WRONG)]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": RIGHT}]}], chats[1]]
    for completions in ([RIGHT, WRONG], chats, parts):
        assert reward(prompts=["", ""], completions=completions, **COLUMNS) == REWARDS


def test_the_question_may_stand_in_the_prompt_and_the_source_in_the_options():
    expert = Recording()
    reward = make_reward_func(expert=expert, coefficients="fixed", data_source="toy")
    prompt = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which?"}]}]
    reward(prompts=[prompt], completions=[RIGHT], solution=[7])
    assert (expert.requests[0].question, expert.requests[0].ground_truth) == ("Which?", "7")
    with pytest.raises(ConfigurationError, match="data_source"):
        make_reward_func(expert=expert)(completions=[RIGHT], solution=["7"], question=["Which?"])


@pytest.mark.parametrize("form", ["pil", "bytes", "mapping", "path"])
def test_all_images_reach_the_judge(form, tmp_path):
    expert = Recording()
    reward = make_reward_func(expert=expert, coefficients="fixed")
    picture, out = Image.new("RGB", (2, 2)), io.BytesIO()
    picture.save(out, "PNG")
    (tmp_path / "a.png").write_bytes(out.getvalue())
    image = {
        "pil": picture,
        "bytes": out.getvalue(),
        "mapping": {"bytes": out.getvalue(), "path": None},
        "path": str(tmp_path / "a.png"),
    }[form]
    reward(completions=[RIGHT, WRONG], images=[[image, image], [image]], **COLUMNS)
    assert [len(request.images) for request in expert.requests] == [2, 1]
    assert all(request.images[0].startswith(b"\x89PNG") for request in expert.requests)


def test_no_verdict_is_none_and_leaves_the_means():
    logged = {}
    reward = make_reward_func(expert=Recording(), coefficients="fixed")
    down = RIGHT.replace("The digit", "It is down, the digit")
    assert reward(completions=[RIGHT, down], log_metric=logged.__setitem__, **COLUMNS) == [
        3.0,
        None,
    ]
    assert (logged["reward/expert_failed"], logged["reward/acc"], logged["reward/score"]) == (
        0.5,
        1.0,
        3.0,
    )


def test_an_unknown_dataset_or_option_ends_the_run_with_the_remedy():
    with pytest.raises(ConfigurationError, match="no coefficients for dataset 'toy'"):
        make_reward_func(expert=Recording())(completions=[RIGHT, WRONG], **COLUMNS)
    with pytest.raises(ConfigurationError, match="scheme"):
        make_reward_func(expert="oracle", scheme="fixed")


def test_ms_swift_calls_an_object_of_its_own_class_with_columns():
    class ORM:
        """Stands for ms-swift 4.6.0's swift.rewards.ORM, which cannot be had here;
        its documented form.
        """

        def __init__(self, args=None, **kwargs):
            self.args = args

        def __call__(self, **kwargs):
            raise NotImplementedError

    made = make_orm(ORM, expert="oracle", coefficients="fixed")(args=object())
    assert isinstance(made, ORM)
    assert made(completions=[RIGHT, WRONG], **COLUMNS) == REWARDS
    messages = [[{"role": "user", "content": "<image>Which digit?"}]] * 2
    without = {name: column for name, column in COLUMNS.items() if name != "question"}
    assert made(completions=[RIGHT, WRONG], messages=messages, **without) == REWARDS


@pytest.mark.timeout(600)
def test_three_grpo_steps_of_the_pocket_model_in_trl_with_a_judge_over_http(tmp_path):
    """TRL stands beside the environment, not in it: verl 0.9.1 patches a TRL that it finds,
    and fails on 1.16.0.
    """
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
    subprocess.run([*install, str(tmp_path / "trl"), f"trl=={TRL}"], check=True)
    with JudgeServer() as server:
        server.keep_bodies = True
        run = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("trl_run.py")),
                server.url,
                str(tmp_path),
            ],
            env=os.environ
            | {"PYTHONPATH": f"{ROOT}:{tmp_path / 'trl'}", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
        )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["version"] == TRL
    steps = [log for log in found["log"] if "reward" in log]
    assert len(steps) == 3
    for step in steps:
        terms = ("factuality", "alignment", "consistency", "penalty")
        total = sum(step[f"reward/{term}"] for term in terms)
        assert step["reward"] == pytest.approx(total, abs=1e-5)
        assert step["reward/expert_failed"] == 0
    assert any(step["reward_std"] > 0 for step in steps)
    assert found["changed"] > 0
    content = server.bodies[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
    assert any(question in content[1]["text"] for question in found["questions"])
