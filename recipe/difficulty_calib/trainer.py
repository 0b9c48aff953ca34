"""verl's synchronous PPO trainer with what difficulty-guided calibration needs.

On top of `PPOTrainerSync`, chosen by ``trainer.v1.trainer_mode=difficulty_guided``, by
`options.TrainerOptions`:

- the training curves of `metrics` go to the tracker at every step;
- what the expert was asked and what that cost goes there too, as ``expert/calls`` and so on
  (`expert_watch`);
- a rollout whose expert call failed for good moves no advantage: it leaves its group and gets
  advantage 0;
- the run stops when more than ``max_expert_failure_rate`` of the last ``expert_failure_window``
  rollouts had no verdict, and at once when the expert cannot be asked any more (bad key, budget
  spent, ...);
- the run stops when the actor's and the rollout engine's token probabilities correlate less than
  ``min_probs_correlation``: they then see different prompts (image tokens!) or different weights,
  and verl would train on;
- ``algorithm.adv_estimator=segments`` pays each token by the part of the reward that it decides
  (`segment_payment`);
- a policy that collapses is told by name (`alarms`);
- each validation (``trainer.test_freq``) chooses the checkpoint to keep, and may end the training
  (`checkpoint_choice`);
- dynamic sampling is bounded by verl's own key ``algorithm.filter_groups.max_num_gen_batches``,
  which the stock trainer ignores (it samples for ever when all groups tie).
"""

from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from tensordict import NonTensorStack, TensorDict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from recipe.difficulty_calib.alarms import Alarms
from recipe.difficulty_calib.checkpoint_choice import CheckpointChoice
from recipe.difficulty_calib.expert_watch import ExpertWatch
from recipe.difficulty_calib.metrics import training_curves
from recipe.difficulty_calib.options import (
    TrainerOptions,
    check_served_expert,
    configured_reward,
    watch_rewards,
)
from recipe.difficulty_calib.patches.stock import check_all
from recipe.difficulty_calib.rollout_rewards import rewards_of_batch
from recipe.difficulty_calib.segment_payment import SegmentPayment, by_segment
from recipe.difficulty_calib.watched_buffer import WatchedReplayBuffer

_CORRELATION = "training/rollout_actor_probs_pearson_corr"


#: What this trainer and its buffer override: module of verl -> names in it.
OVERRIDES = {
    "verl.trainer.ppo.v1.trainer_base": (
        "PPOTrainer.fit",
        "PPOTrainer._build_replay_buffer",
        "PPOTrainer._add_prompts_to_generate",
        "PPOTrainer._add_batch_to_generate",
        "PPOTrainer._compute_old_log_prob",
        "PPOTrainer._compute_advantage",
        "PPOTrainer._compute_metrics",
    ),
    "verl.trainer.ppo.v1.replay_buffer": ("ReplayBuffer._terminal_eviction_reasons",),
}


class DynamicSamplingError(RuntimeError):
    """So many groups tied on the filter metric that a step's batch could not be filled."""


class PolicyMismatchError(RuntimeError):
    """Rollout engine and actor disagree about the probabilities of the same tokens."""


@register_trainer("difficulty_guided")
class DifficultyGuidedTrainer(SegmentPayment, CheckpointChoice, PPOTrainerSync):
    """Synchronous GRPO with reward curves, neutral expert failures and bounded dynamic sampling."""

    def __init__(self, config: DictConfig) -> None:
        check_all(OVERRIDES, "trainer difficulty_guided")
        check_served_expert(config)
        if config.reward.reward_manager.name == "difficulty_guided":
            # A worker that cannot be made costs verl every sample, and says so in the log alone.
            configured_reward(config)
        self.options = TrainerOptions.of(config)
        with open_dict(config):
            # verl compares this name with "sync" in many places; this trainer is one.
            config.trainer.v1.trainer_mode = "sync"
        watch_rewards(config)
        self.watch = ExpertWatch(
            self.options.max_expert_failure_rate,
            self.options.expert_failure_window,
            at_least=config.data.train_batch_size * config.actor_rollout_ref.rollout.n,
        )
        super().__init__(config)
        # verl looks every two seconds, which is most of a step with a small model.
        self.replay_buffer.poll_interval = 0.2
        self._prompts_this_step = 0

    def fit(self, agent_loop_manager: Any) -> None:
        started = Path(self.config.trainer.default_local_dir) / Alarms.FILE
        self._alarms = Alarms(started, resumed=self.global_steps > 0)
        try:
            super().fit(agent_loop_manager)
        finally:
            if totals := self.watch.totals():
                print("expert:", ", ".join(f"{name} {total:g}" for name, total in totals.items()))

    # Dynamic sampling -----------------------------------------------------------------------------

    def _add_batch_to_generate(self) -> None:
        self._prompts_this_step = self.config.data.train_batch_size
        super()._add_batch_to_generate()

    def _add_prompts_to_generate(self, num_prompts: int) -> int:
        filter_groups = self.config.algorithm.filter_groups
        limit = filter_groups.max_num_gen_batches * self.config.data.train_batch_size
        if filter_groups.enable and 0 < limit < self._prompts_this_step + num_prompts:
            raise DynamicSamplingError(
                f"step {self.global_steps}: {self._prompts_this_step} prompts were sampled and "
                f"fewer than {self.config.data.train_batch_size} had answers that differ in "
                f"{filter_groups.metric!r}, so nothing is left to learn from. Easier or harder "
                "questions, a higher rollout temperature, a larger rollout.n, another "
                "algorithm.filter_groups.metric or a higher "
                "algorithm.filter_groups.max_num_gen_batches help"
            )
        self._prompts_this_step += num_prompts
        return super()._add_prompts_to_generate(num_prompts)

    # Rollout against actor ------------------------------------------------------------------------

    def _compute_old_log_prob(
        self, batch: tq.KVBatchMeta, metrics: dict[str, Any]
    ) -> tq.KVBatchMeta:
        batch = super()._compute_old_log_prob(batch, metrics)
        if self.options.min_probs_correlation <= -1:
            return batch
        correlation = float(metrics[_CORRELATION])
        if not correlation >= self.options.min_probs_correlation:
            raise PolicyMismatchError(
                f"step {self.global_steps}: rollout and actor probabilities correlate "
                f"{correlation:.6f}, below {self.options.min_probs_correlation}. The rollout "
                "engine sees another prompt or other weights than the actor: check that the plugin "
                "is loaded in every process "
                "(VERL_USE_EXTERNAL_MODULES=recipe.difficulty_calib.plugin) and that the "
                "processor is the model's. "
                "Where both are so, for instance with a quantised engine, lower "
                "trainer.v1.difficulty_guided.min_probs_correlation"
            )
        return batch

    # Expert failures ------------------------------------------------------------------------------

    def _build_replay_buffer(self) -> WatchedReplayBuffer:
        return WatchedReplayBuffer.of(super()._build_replay_buffer(), self.watch)

    def _compute_advantage(self, batch: tq.KVBatchMeta, metrics: dict[str, Any]) -> tq.KVBatchMeta:
        # By segment a failed rollout is in no group anyway.
        if not by_segment(self.config):
            rewards = rewards_of_batch(batch)
            failed = [key for key, reward in rewards.items() if reward["expert_failed"]]
            if failed:
                self._take_out_of_group(failed, batch.partition_id)
        return super()._compute_advantage(batch, metrics)

    @staticmethod
    def _take_out_of_group(keys: list[str], partition_id: str) -> None:
        """Give each rollout a group of its own and reward 0.

        GRPO's advantage of a lone rollout is its reward.
        """
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["rm_scores"])
        zeros = [torch.zeros_like(scores) for scores in data["rm_scores"].unbind()]
        own_group = TensorDict(
            {
                "rm_scores": torch.nested.as_nested_tensor(zeros, layout=torch.jagged),
                "uid": NonTensorStack(*keys),
            },
            batch_size=len(keys),
        )
        tq.kv_batch_put(keys=keys, partition_id=partition_id, fields=own_group)

    # Curves ---------------------------------------------------------------------------------------

    def _compute_metrics(
        self,
        batch: tq.KVBatchMeta,
        metrics: dict[str, Any],
        timing_raw: dict[str, float],
        global_steps: int,
        epoch: int,
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        metrics.update(training_curves(list(rewards_of_batch(batch).values())))
        metrics.update(self._alarms.see(global_steps, metrics))
        metrics.update(self.watch.counts_since_last())
