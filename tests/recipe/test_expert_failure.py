"""A rollout without a verdict moves no advantage: neither its own nor its group's. Through a real TransferQueue."""

import numpy as np
import pytest
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import NonTensorStack, TensorDict

from recipe.difficulty_calib.trainer import DifficultyGuidedTrainer, ExpertFailureError


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


def trainer(tolerated: float) -> DifficultyGuidedTrainer:
    """A trainer with what computing advantages needs, without workers."""
    from collections import deque

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
    made.options = OmegaConf.create({"max_expert_failure_rate": tolerated, "expert_failure_window": 64})
    made._recent_failures = deque(maxlen=64)
    made.global_steps = 1
    return made


def put(scores: list[float], failed: list[bool]) -> tq.KVBatchMeta:
    """One group of rollouts of two tokens, the reward on the last."""
    keys = [f"group_{session}_0" for session in range(len(scores))]
    rewards = [{"expert_failed": float(is_failed)} for is_failed in failed]
    fields = TensorDict(
        {
            "uid": NonTensorStack(*["group"] * len(keys)),
            "extra_fields": NonTensorStack(*[{"reward_extra_info": reward} for reward in rewards]),
            "response_mask": torch.nested.as_nested_tensor([torch.ones(2) for _ in keys], layout=torch.jagged),
            "rm_scores": torch.nested.as_nested_tensor(
                [torch.tensor([0.0, score]) for score in scores], layout=torch.jagged
            ),
        },
        batch_size=len(keys),
    )
    tags = [{} for _ in keys]
    tq.kv_batch_put(keys=keys, partition_id="train", fields=fields, tags=tags)
    return tq.KVBatchMeta(partition_id="train", keys=keys, tags=tags)


def advantages(scores: list[float], failed: list[bool], tolerated: float = 1.0) -> np.ndarray:
    batch = put(scores, failed)
    trainer(tolerated)._compute_advantage(batch, {})
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


def test_too_many_failures_end_the_run(queue):
    with pytest.raises(ExpertFailureError, match=r"no verdict for 50\.0% of the last 4 rollouts"):
        advantages([0.0, 1.0, 2.0, 0.0], [False, False, True, True], tolerated=0.05)
