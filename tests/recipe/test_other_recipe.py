"""Somebody else's verl recipe: stock `ppo_trainer` configuration, rows as in verl's geo3k example,
our lines added.

Real verl, Ray, vLLM and a judge behind the OpenAI protocol on loopback. What such a recipe sets for
its own model and machine stands in `THEIRS`. The model is one that says `<image>` nearly always, so
that every rollout of these runs would end the forward pass over it if placeholder
tokens could be drawn.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from judge_server import JudgeServer, exact_reply, material

from recipe.difficulty_calib.progress import step_line

pytestmark = pytest.mark.timeout(1200)

TWO_LINES = [
    "reward.custom_reward_function.path=pkg://reward_fns.compute_score",
    "reward.custom_reward_function.name=compute_score",
]
MORE_LINES = [
    "reward.reward_manager.name=difficulty_guided",
    "trainer.v1.trainer_mode=difficulty_guided",
]
LAYERS = "[LlamaDecoderLayer,CLIPEncoderLayer]"
THEIRS = [
    "algorithm.adv_estimator=grpo",
    "data.train_batch_size=4",
    "data.max_prompt_length=192",
    "data.max_response_length=48",
    "data.image_key=images",
    "data.dataloader_num_workers=0",
    "actor_rollout_ref.model.use_remove_padding=False",
    "actor_rollout_ref.model.enable_gradient_checkpointing=False",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "actor_rollout_ref.actor.strategy=fsdp2",
    "actor_rollout_ref.actor.use_torch_compile=False",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
    f"+actor_rollout_ref.actor.fsdp_config.wrap_policy.transformer_layer_cls_to_wrap={LAYERS}",
    "+actor_rollout_ref.actor.fsdp_config.mixed_precision="
    "{param_dtype:fp32,reduce_dtype:fp32,buffer_dtype:fp32}",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16",
    "actor_rollout_ref.rollout.name=vllm",
    "actor_rollout_ref.rollout.n=4",
    "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
    "actor_rollout_ref.rollout.free_cache_engine=False",
    "+actor_rollout_ref.rollout.enable_sleep_mode=False",
    "actor_rollout_ref.rollout.enforce_eager=True",
    "actor_rollout_ref.rollout.dtype=float32",
    "actor_rollout_ref.rollout.calculate_log_probs=True",
    "actor_rollout_ref.rollout.max_model_len=256",
    "actor_rollout_ref.rollout.max_num_batched_tokens=4096",
    "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=64",
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16",
    "reward.num_workers=1",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    "trainer.device=cpu",
    "trainer.nnodes=1",
    "trainer.n_gpus_per_node=1",
    "trainer.val_before_train=False",
    "trainer.test_freq=-1",
    "trainer.save_freq=-1",
    "trainer.logger=[console]",
    "trainer.total_training_steps=2",
    "+ray_kwargs.ray_init.num_gpus=1",
    "+ray_kwargs.ray_init.include_dashboard=False",
    "+ray_kwargs.ray_init.object_store_memory=500000000",
    "ray_kwargs.ray_init.num_cpus=16",
]


def geo3k_rows(pocket_data: Path, question: bool) -> pd.DataFrame:
    """The drawn questions in geo3k's columns; a plain text is the ground truth."""
    frame = pd.read_parquet(pocket_data / "rl_train.parquet")
    rows = []
    for index, row in enumerate(frame.to_dict("records")):
        answer = json.loads(row["reward_model"]["ground_truth"])["facts"][0]
        info = {"split": "train", "index": index, "answer": answer}
        rows.append(
            {
                "data_source": "VQAv2",
                "prompt": row["prompt"],
                "images": row["images"],
                "ability": "math",
                "reward_model": {"style": "rule", "ground_truth": answer},
                "extra_info": info
                | ({"question": row["extra_info"]["question"]} if question else {}),
            }
        )
    return pd.DataFrame(rows)


Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(tmp_path, pocket_data, placeholder_llava, run_on_cpu) -> Train:
    """Takes rows, a judge's address and configuration lines;
    gives exit code and log of two steps.
    """

    def run(rows: pd.DataFrame, judge: str, *lines: str) -> tuple[int, str]:
        data = tmp_path / "train.parquet"
        rows.to_parquet(data)
        expert = f"{{kind: openai, model: judge-2026, base_url: '{judge}', max_retries: 0}}"
        command = [sys.executable, "-m", "verl.trainer.main_ppo", f"hydra.run.dir={tmp_path}"]
        command += [f"data.train_files={data}", f"data.val_files={data}"]
        command += [f"actor_rollout_ref.model.path={placeholder_llava}"]
        command += [f"+reward.custom_reward_function.reward_kwargs.expert={expert}"]
        return run_on_cpu([*command, *THEIRS, *lines])

    return run


def asked(judge: JudgeServer) -> set[object]:
    """The questions that the judge was asked."""
    contents = [body["messages"][-1]["content"] for body in judge.bodies]
    prompts = [c if isinstance(c, str) else c[-1]["text"] for c in contents]
    given = [material(prompt).items() for prompt in prompts]
    return {value for items in given for label, value in items if label.startswith("question")}


def metric(log: str, name: str) -> list[float]:
    return [
        float(value)
        for value in re.findall(rf"{re.escape(name)}:(?:np\.float\d+\()?(-?[\d.e+-]+)", log)
    ]


def questions(pocket_data: Path) -> set[str]:
    frame = pd.read_parquet(pocket_data / "rl_train.parquet")
    return {info["question"] for info in frame["extra_info"]}


def steps(log: str) -> list[int]:
    return [found[0] for line in log.splitlines() if (found := step_line(line))]


def test_the_two_lines_train_in_a_stock_recipe_until_a_dataset_has_no_coefficients(
    train, pocket_data
):
    """Also where the judge is down now and then: verl leaves those rollouts out and goes on."""
    rows = geo3k_rows(pocket_data, question=True)
    rows.loc[12:, "data_source"] = "somebody/else"  # from the fourth step on
    lines = ["data.shuffle=False", "trainer.total_training_steps=50"]
    with JudgeServer(faults={"500": 0.3}) as judge:
        judge.keep_bodies = True
        code, log = train(rows, judge.url, *TWO_LINES, *lines)
    assert steps(log)[:2] == [1, 2], log[-4000:]
    # Answers of one step are rewarded differently, and the actor sees what was rolled out.
    assert max(metric(log, "critic/score/max")) > min(metric(log, "critic/score/min"))
    assert min(metric(log, "training/rollout_actor_probs_pearson_corr")) > 0.999
    assert judge.calls["500"] and "no verdict for question" in log, log[-4000:]
    assert asked(judge) and asked(judge) <= questions(pocket_data)
    # The first sample that can never be scored ends the run, with the remedy.
    assert code != 0 and len(steps(log)) < 5
    assert "no coefficients for dataset 'somebody/else'" in log, log[-4000:]
    assert "set default_coefficients" in log
    assert "no materializable trajectories" in log, log[-4000:]


def test_manager_and_trainer_lines_add_the_image_the_question_and_the_curves(train, pocket_data):
    """And where the judge breaks down for good, the run ends with an error that says so."""
    judge = JudgeServer()

    def reply(prompt: str) -> dict[str, object]:
        # A step's 16 rollouts ask 16 times at most: the first step gets all of its verdicts.
        if judge.answers.total() >= 16:
            judge.faults["500"] = 1.0
        return exact_reply(prompt)

    judge.reply = reply
    judge.keep_bodies = True
    with judge:
        rows = geo3k_rows(pocket_data, question=False)
        code, log = train(
            rows, judge.url, *TWO_LINES, *MORE_LINES, "trainer.total_training_steps=50"
        )
    trained = steps(log)
    assert trained and trained == list(range(1, len(trained) + 1)), log[-4000:]
    assert asked(judge) and asked(judge) <= questions(pocket_data)
    parts = [part for body in judge.bodies for part in body["messages"][-1]["content"]]
    assert sum(part["type"] == "image_url" for part in parts) == len(judge.bodies)
    assert metric(log, "expert/calls") and metric(log, "reward/total/mean")
    assert code != 0
    assert "ExpertFailureError" in log and "gave no verdict for" in log, log[-4000:]
