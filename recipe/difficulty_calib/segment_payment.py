"""What makes a trainer of verl pay each token by the part of the reward that it decides.

With ``algorithm.adv_estimator=segments`` the advantages are those of `segments`. With ``number_by``
other than ``drawn`` a number's digits are paid by all that might stand there (`number_payment`);
the map of ``fitted`` lies in each checkpoint. With another estimator the trainer is as it was.
"""

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.trainer.ppo.core_algos import register_adv_est

from data_prep.engines.verl_checkpoint import step_folder
from recipe.difficulty_calib.number_checks import check_groups, check_logits, check_reference
from recipe.difficulty_calib.number_loss import RELIED_ON, batch_fields
from recipe.difficulty_calib.number_map import NumberMap
from recipe.difficulty_calib.number_payment import NumberPayment, TokenizedResponse
from recipe.difficulty_calib.options import TrainerOptions, configured_reward
from recipe.difficulty_calib.patches.stock import check_all
from recipe.difficulty_calib.rollout_rewards import rewards_of_batch
from recipe.difficulty_calib.segments import Rollout, segment_advantages, segment_curves
from reward_fns.errors import ConfigurationError

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync as _Trainer
else:
    # verl's trainers, imported, load the plugin, and that the trainer which needs this module.
    _Trainer = object

#: What this class overrides: module of verl -> names in it.
OVERRIDES = {
    "verl.trainer.ppo.v1.trainer_base": (
        "PPOTrainer._setup",
        "PPOTrainer._compute_ref_log_prob",
        "PPOTrainer._compute_advantage",
        "PPOTrainer._save_checkpoint",
    )
}

_FILLED_IN_LATER = ContextVar("advantages are filled in later", default=False)


@register_adv_est("segments")
def _zeros(token_level_rewards: torch.Tensor, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """verl gives an estimator scores alone; the trainer, which has the responses, fills them in."""
    if not _FILLED_IN_LATER.get():
        raise ConfigurationError(
            "algorithm.adv_estimator=segments needs trainer.v1.trainer_mode=difficulty_guided"
        )
    zeros = torch.zeros_like(token_level_rewards)
    return zeros, zeros


def by_segment(config: DictConfig) -> bool:
    """Whether a composed configuration asks for it."""
    return bool(config.algorithm.adv_estimator == "segments")


def _check(config: DictConfig, number_by: str) -> None:
    if config.algorithm.use_kl_in_reward:
        raise ConfigurationError(
            "algorithm.adv_estimator=segments does not take algorithm.use_kl_in_reward: use "
            "actor_rollout_ref.actor.use_kl_loss"
        )
    if number_by != "drawn":
        check_all(RELIED_ON, f"segments.number_by={number_by}")
        check_groups(config, number_by)
        check_logits(config, number_by)
    if number_by == "fitted":
        check_reference(config)


class SegmentPayment(_Trainer):
    """Goes before a trainer of verl among the bases."""

    _numbers: NumberPayment | None = None
    """None: each number is paid as it was drawn."""

    def __init__(self, config: DictConfig) -> None:
        check_all(OVERRIDES, "payment by segment")
        self._segments = TrainerOptions.of(config).segments
        if by_segment(config):
            _check(config, self._segments.number_by)
            self._reward = configured_reward(config)
        super().__init__(config)

    def _setup(self) -> None:
        super()._setup()
        if not by_segment(self.config) or self._segments.number_by == "drawn":
            return
        self._numbers = NumberPayment(self.tokenizer, self._segments)
        self._numbers.install(self.actor_rollout_wg, self.config.actor_rollout_ref.actor)
        if self._numbers.fits and self.global_steps > 0:  # resumed
            self._numbers.map = NumberMap.load(self._resumed() / NumberMap.FILE)

    def _resumed(self) -> Path:
        """The checkpoint that verl resumed from."""
        if self.config.trainer.resume_mode == "resume_path":
            return Path(self.config.trainer.resume_from_path)
        return step_folder(Path(self.config.trainer.default_local_dir), self.global_steps)

    def _compute_ref_log_prob(
        self, batch: tq.KVBatchMeta, metrics: dict[str, Any]
    ) -> tq.KVBatchMeta:
        if self._numbers is None or not self._numbers.fits:
            return super()._compute_ref_log_prob(batch, metrics)
        answers = self._answers(batch)
        batch = self._numbers.ask_reference(batch, answers)
        batch = super()._compute_ref_log_prob(batch, metrics)
        self._numbers.read_reference(batch, answers)
        return batch

    def _compute_advantage(self, batch: tq.KVBatchMeta, metrics: dict[str, Any]) -> tq.KVBatchMeta:
        """As verl's own, with `segments.segment_advantages`; padding rows get 0."""
        if not by_segment(self.config):
            return super()._compute_advantage(batch, metrics)
        token = _FILLED_IN_LATER.set(True)
        try:
            batch = super()._compute_advantage(batch, metrics)
        finally:
            _FILLED_IN_LATER.reset(token)
        answers = self._answers(batch)
        rollouts = self._rollouts(batch, answers)
        by_std = bool(self.config.algorithm.get("norm_adv_by_std_in_grpo", True))
        computed = segment_advantages(list(rollouts.values()), self._segments, by_std)
        number_fields = {}
        if self._numbers:
            aims = self._numbers.aims(rollouts, answers)
            for key, advantages in zip(rollouts, computed, strict=True):
                advantages[aims[key].is_paid] = 0.0
            number_fields = batch_fields([aims[key] for key in batch.keys])
            metrics.update(self._numbers.curves)
        metrics.update(segment_curves(list(rollouts.values()), computed))
        of_key = dict(zip(rollouts, computed, strict=True))
        values = [
            torch.tensor(of_key[key], dtype=torch.float32)
            if key in of_key
            else torch.zeros(len(answers[key].ids))
            for key in batch.keys
        ]
        nested = torch.nested.as_nested_tensor(values, layout=torch.jagged)
        put = TensorDict(
            {"advantages": nested, "returns": nested, **number_fields}, batch_size=len(values)
        )
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=put)

    def _answers(self, batch: tq.KVBatchMeta) -> dict[str, TokenizedResponse]:
        """The responses of the batch, padding rows too, by their keys."""
        data = tq.kv_batch_get(
            keys=list(batch.keys), partition_id=batch.partition_id, select_fields=["responses"]
        )
        return {
            key: TokenizedResponse.of(self.tokenizer, ids.tolist(), self._reward.thinking)
            for key, ids in zip(batch.keys, data["responses"].unbind(), strict=True)
        }

    def _rollouts(
        self, batch: tq.KVBatchMeta, answers: dict[str, TokenizedResponse]
    ) -> dict[str, Rollout]:
        """The rollouts of the batch by their keys; padding rows left out."""
        rewards = rewards_of_batch(batch)
        fields = ["uid", "data_source", *self._reward.row_fields]
        data = tq.kv_batch_get(
            keys=list(batch.keys), partition_id=batch.partition_id, select_fields=fields
        )
        return {
            key: Rollout(
                group=str(getattr(uid, "data", uid)),
                kinds=answers[key].kinds,
                reward=rewards[key],
                delta=self._reward.coefficients_of(
                    str(getattr(source, "data", source)), getattr(info, "data", info)
                ).delta,
            )
            for key, uid, source, info in zip(
                batch.keys,
                data["uid"],
                data["data_source"],
                data.get("extra_info", [None] * len(batch.keys)),
                strict=True,
            )
            if key in rewards
        }

    def _save_checkpoint(self) -> None:
        if self._numbers and self._numbers.fits:
            folder = step_folder(Path(self.config.trainer.default_local_dir), self.global_steps)
            folder.mkdir(parents=True, exist_ok=True)
            self._numbers.map.save(folder / NumberMap.FILE)
        super()._save_checkpoint()
