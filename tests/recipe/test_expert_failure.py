"""A rollout without a verdict moves no advantage: neither its own nor its group's.

Through a real TransferQueue.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import NonTensorStack, TensorDict

from recipe.difficulty_calib.expert_watch import REPORT_KEY, ExpertFailureError, ExpertWatch
from recipe.difficulty_calib.number_loss import IDS, NO_TOKEN
from recipe.difficulty_calib.number_payment import NumberPayment
from recipe.difficulty_calib.segments import SegmentOptions
from recipe.difficulty_calib.trainer import DifficultyGuidedTrainer
from recipe.difficulty_calib.watched_buffer import WatchedReplayBuffer
from reward_fns.coefficients_file import (
    Coefficients,
    QuestionReference,
    Spread,
    save_coefficients,
)
from reward_fns.errors import ConfigurationError
from reward_fns.reward import make_reward


@pytest.fixture(scope="module")
def queue():
    from hydra import compose, initialize_config_module

    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        config = compose("pocket").transfer_queue
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    tq.init(config)
    yield
    tq.close()
    ray.shutdown()


def trainer() -> DifficultyGuidedTrainer:
    """A trainer with what computing advantages needs, without workers."""
    made = object.__new__(DifficultyGuidedTrainer)
    made.config = OmegaConf.create(
        {
            "algorithm": {
                "use_kl_in_reward": False,
                "adv_estimator": "grpo",
                "gamma": 1.0,
                "lam": 1.0,
                "norm_adv_by_std_in_grpo": True,
            },
            "actor_rollout_ref": {"rollout": {"n": 4}},
        }
    )
    made.global_steps = 1
    return made


def put(
    scores: list[float], failed: list[bool], more: dict[str, str] | None = None
) -> tq.KVBatchMeta:
    """One group of rollouts of two tokens, the reward on the last."""
    keys = [f"group_{session}_0" for session in range(len(scores))]
    rewards = [{"expert_failed": float(is_failed), **(more or {})} for is_failed in failed]
    fields = TensorDict(
        {
            "uid": NonTensorStack(*["group"] * len(keys)),
            "extra_fields": NonTensorStack(*[{"reward_extra_info": reward} for reward in rewards]),
            "response_mask": torch.nested.as_nested_tensor(
                [torch.ones(2) for _ in keys], layout=torch.jagged
            ),
            "rm_scores": torch.nested.as_nested_tensor(
                [torch.tensor([0.0, score]) for score in scores], layout=torch.jagged
            ),
        },
        batch_size=len(keys),
    )
    tags = [{} for _ in keys]
    tq.kv_batch_put(keys=keys, partition_id="train", fields=fields, tags=tags)
    return tq.KVBatchMeta(partition_id="train", keys=keys, tags=tags)


def advantages(scores: list[float], failed: list[bool]) -> np.ndarray:
    batch = put(scores, failed)
    trainer()._compute_advantage(batch, {})
    data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["advantages"])
    values = np.array([float(row[0]) for row in data["advantages"].unbind()])
    tq.kv_clear(keys=batch.keys, partition_id="train")
    return values


def test_without_failures_advantages_are_grpos(queue):
    # mean 1, standard deviation of (0, 1, 2) with n - 1: 1
    assert advantages([0.0, 1.0, 2.0], [False] * 3) == pytest.approx([-1, 0, 1], abs=1e-4)


def test_a_failed_rollout_gets_none_and_moves_no_other(queue):
    # The failed one's reward of 0 (never a judgement) would shift mean and deviation of the others.
    values = advantages([0.0, 1.0, 2.0, 0.0], [False, False, False, True])
    assert values == pytest.approx([-1, 0, 1, 0], abs=1e-4)


def test_a_failure_s_reward_may_be_anything_and_still_moves_nothing(queue):
    values = [
        advantages([0.0, 1.0, 2.0, reward], [False, False, False, True])
        for reward in (-5.0, 0.0, 7.0)
    ]
    assert np.array_equal(values[0], values[1]) and np.array_equal(values[1], values[2])


def test_by_segment_through_the_queue(queue, tmp_path):
    """The trainer finds ids, verdicts and coefficients, and writes an advantage for each token."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("data_prep/pocket/base_model")
    texts = [f"1. The digit is 7. I'm sure.\nConfidence: {number}" for number in ("0.9", "0.1")]
    ids = [torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    score = {
        "factuality": 1.0,
        "alignment": 1.0,
        "consistency": 1.0,
        "acc": 1.0,
        "well_formed": 1.0,
    }
    rewards = [
        {**score, "confidence": confidence, "expert_failed": failed}
        for confidence, failed in ((0.9, 0.0), (0.1, 0.0), (0.5, 1.0))
    ]
    ids.append(ids[0])
    keys = [f"group_{i}_0" for i in range(3)] + ["padding_0_0"]
    fields = TensorDict(
        {
            "uid": NonTensorStack(*["group"] * 3, "padding"),
            "data_source": NonTensorStack(*["VQAv2"] * 4),
            "extra_fields": NonTensorStack(
                *[{"reward_extra_info": reward} for reward in [*rewards, rewards[0]]]
            ),
            "responses": torch.nested.as_nested_tensor([*ids, ids[0]], layout=torch.jagged),
            **{
                name: torch.nested.as_nested_tensor(
                    [torch.ones(len(row)) for row in (*ids, ids[0])], layout=torch.jagged
                )
                for name in ("rm_scores", "response_mask")
            },
        },
        batch_size=4,
    )
    tags = [{}, {}, {}, {"is_padding": True}]
    tq.kv_batch_put(keys=keys, partition_id="train", fields=fields, tags=tags)
    made = trainer()
    made.config.algorithm.adv_estimator = "segments"
    made.config.algorithm.norm_adv_by_std_in_grpo = False
    made.tokenizer, made._segments = tokenizer, SegmentOptions()
    made._reward = make_reward({"expert": "oracle", "rule": "proper", "coefficients": "fixed"})
    metrics = {}
    batch = tq.KVBatchMeta(partition_id="train", keys=keys, tags=tags)
    made._compute_advantage(batch, metrics)
    data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["advantages"])
    found = [row.numpy() for row in data["advantages"].unbind()]
    tq.kv_clear(keys=keys, partition_id="train")
    assert [len(row) for row in found] == [len(row) for row in (*ids, ids[0])]
    # Only the numbers differ: weight * delta * (0.81 - 0.01) / 2 for the better (fixed: delta 1).
    paid = SegmentOptions().number * (0.81 - 0.01) / 2
    assert np.unique(found[0]) == pytest.approx([0.0, paid])
    assert np.unique(found[1]) == pytest.approx([-paid, 0.0])
    assert not found[2].any() and not found[3].any()
    assert metrics["segment/number/advantage"] > 0

    # By question: an average question's delta is 1, one two deviations more divided has
    # 1 + 0.25 * tanh(0.77917 / 2 * 2), e^1.55834 = 4.75094: 1.163058.
    save_coefficients(
        tmp_path / "c.yaml",
        {"VQAv2": Coefficients(1.0, 1.0, 1.0, 1.0)},
        {"VQAv2": QuestionReference(vote_margin=Spread(0.75, 0.25))},
    )
    fixed, by_question = made._reward, {"coefficients": str(tmp_path / "c.yaml")}
    made._reward = make_reward(
        {"expert": "oracle", "rule": "proper", "difficulty": "question"} | by_question
    )
    for margin, delta in ((0.75, 1.0), (0.25, 1.163058)):
        infos = NonTensorStack(*[{"vote_margin": margin, "answers": ["a"]}] * 4)
        tq.kv_batch_put(
            keys=keys,
            partition_id="train",
            fields=fields.copy().set("extra_info", infos),
            tags=tags,
        )
        made._compute_advantage(batch, {})
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["advantages"])
        tq.kv_clear(keys=keys, partition_id="train")
        assert float(data["advantages"].unbind()[0].max()) == pytest.approx(delta * paid)
    made._reward = fixed

    # In expectation: what each digit earns comes with the batch, of the judged alone.
    made._numbers = NumberPayment(tokenizer, SegmentOptions(number_by="expected"))
    tq.kv_batch_put(keys=keys, partition_id="train", fields=fields, tags=tags)
    made._compute_advantage(batch, metrics)
    data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["advantages", IDS])
    tq.kv_clear(keys=keys, partition_id="train")
    # The 0 before the point alone keeps its advantage.
    assert [int(row.count_nonzero()) for row in data["advantages"].unbind()] == [1, 1, 0, 0]
    paid = [bool((row != NO_TOKEN).any()) for row in data[IDS].unbind()]
    assert paid == [True, True, False, False]

    # Fitted: digits cost something at the other tokens, too, and there the advantage stays.
    made._numbers = NumberPayment(tokenizer, SegmentOptions(number_by="fitted"))
    made._numbers._means = dict.fromkeys(keys, 0.5)
    made._numbers._hardly_any = dict.fromkeys(keys, np.ones(len(ids[0]), dtype=bool))
    facts = [{**reward, "factuality": float(i)} for i, reward in enumerate(rewards)]
    extra = [{"reward_extra_info": reward} for reward in [*facts, facts[0]]]
    tq.kv_batch_put(
        keys=keys,
        partition_id="train",
        fields=fields.copy().set("extra_fields", NonTensorStack(*extra)),
        tags=tags,
    )
    made._compute_advantage(batch, metrics)
    data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["advantages", IDS])
    tq.kv_clear(keys=keys, partition_id="train")
    first = data["advantages"].unbind()[0].numpy()
    assert np.unique(first) == pytest.approx([-0.5, 0.0])  # 0 and 1, less their mean
    assert (data[IDS].unbind()[0].numpy()[first != 0] != NO_TOKEN).any(axis=1).all()


def test_the_checkpoint_that_was_resumed_from():
    made = trainer()
    made.config.trainer = {
        "resume_mode": "auto",
        "default_local_dir": "/run",
        "resume_from_path": None,
    }
    made.global_steps = 8
    assert made._resumed() == Path("/run/global_step_8")
    made.config.trainer.update(resume_mode="resume_path", resume_from_path="/other/global_step_8")
    assert made._resumed() == Path("/other/global_step_8")


def test_by_segment_in_another_trainer_is_an_error_with_the_remedy():
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    with pytest.raises(ConfigurationError, match="trainer_mode=difficulty_guided"):
        get_adv_estimator_fn("segments")(
            token_level_rewards=torch.ones(1, 2), response_mask=torch.ones(1, 2)
        )


def buffer(watch: ExpertWatch, metric: str | None) -> WatchedReplayBuffer:
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    options = {
        "max_off_policy_threshold": None,
        "max_off_policy_strategy": "drop",
        "sampler_kwargs": {},
    }
    stock = ReplayBuffer(
        "sync",
        OmegaConf.create({}),
        **options,
        refill_fn=lambda n: None,
        filter_groups_metric=metric,
        train_batch_size=1,
    )
    return WatchedReplayBuffer.of(stock, watch)


def finished(watched: WatchedReplayBuffer, batch: tq.KVBatchMeta) -> None:
    watched.partitions["train"] = dict(zip(batch.keys, batch.tags, strict=True))
    watched.finished_keys["train"] = {"group"}


def test_the_buffer_shows_each_finished_rollout_once_before_its_group_is_thrown_away(queue):
    seen = []

    class Watch(ExpertWatch):
        def see(self, rewards, training):
            seen.append((list(rewards), training))

    watched = buffer(Watch(1.0, 64, 1), metric="expert_failed")
    batch = put([0.0, 1.0], [True, True])
    finished(watched, batch)
    # Both failed, so the group ties on this metric:
    # dynamic sampling takes it out unseen by the trainer.
    assert watched._terminal_eviction_reasons(1, "train") == (
        set(),
        {"group"},
        set(),
        Counter({1.0: 1}),
    )
    watched._terminal_eviction_reasons(1, "train")
    tq.kv_clear(keys=batch.keys, partition_id="train")
    assert seen == [([{"expert_failed": 1.0}] * 2, True)]


def test_an_expert_that_cannot_be_asked_ends_the_run_though_its_groups_tie(queue):
    watched = buffer(ExpertWatch(1.0, 64, 64), metric="expert_failed")
    fatal = {REPORT_KEY: json.dumps({"worker": "a", "fatal": "the budget is spent", "totals": {}})}
    batch = put([0.0, 1.0], [True, True], fatal)
    finished(watched, batch)
    with pytest.raises(ExpertFailureError, match="the budget is spent"):
        watched._terminal_eviction_reasons(1, "train")
    tq.kv_clear(keys=batch.keys, partition_id="train")
