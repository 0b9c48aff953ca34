"""What makes a trainer of verl choose a checkpoint by its validations (`selection`).

At each validation (``trainer.test_freq``) it writes ``selection.json`` beside the checkpoints. Of
these the newest ``trainer.max_actor_ckpt_to_keep`` stay, and the chosen one: as with verl, the
oldest goes before another is written. With ``trainer.v1.difficulty_guided.patience`` the training
ends that many validations after the chosen checkpoint's.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, open_dict

from recipe.difficulty_calib.options import TrainerOptions
from recipe.difficulty_calib.patches.stock import check_all
from recipe.difficulty_calib.selection import Selection, measure

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync as _Trainer
else:
    # verl's trainers, imported, load the plugin, and that the trainer which needs this module.
    _Trainer = object

#: What this class overrides: module of verl -> names in it.
OVERRIDES = {
    "verl.trainer.ppo.v1.trainer_base": (
        "PPOTrainer.fit",
        "PPOTrainer._save_checkpoint",
        "PPOTrainer._val_metrics_update",
    )
}


class CheckpointChoice(_Trainer):
    """Goes before a trainer of verl among the bases. Where the reward returns no ``confidence``,
    ``acc`` and question's id, nothing is chosen.
    """

    _selection: Selection

    def __init__(self, config: DictConfig) -> None:
        check_all(OVERRIDES, "the choice of a checkpoint")
        self._patience = TrainerOptions.of(config).patience
        self._keep: int | None = None
        if config.trainer.test_freq > 0:
            # verl would delete the chosen one.
            self._keep = config.trainer.get("max_actor_ckpt_to_keep")
            with open_dict(config):
                config.trainer.max_actor_ckpt_to_keep = None
        super().__init__(config)

    def fit(self, agent_loop_manager: Any) -> None:
        folder = Path(self.config.trainer.default_local_dir)
        self._selection = Selection.resumed(folder, self.global_steps)
        if self._is_over():
            print(f"nothing is left to train: {self._selection.told()}")
            return
        super().fit(agent_loop_manager)

    def _save_checkpoint(self) -> None:
        if self._keep:
            # Room for the one that is written now.
            self._selection.prune(self._keep - 1, before=self.global_steps)
        super()._save_checkpoint()

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        *more: Any,
        **named: Any,
    ) -> dict[str, float]:
        metrics: dict[str, float] = super()._val_metrics_update(
            data_sources, sample_uids, reward_extra_infos_dict, *more, **named
        )
        columns = reward_extra_infos_dict.values()
        rewards = [
            dict(zip(reward_extra_infos_dict, values, strict=True))
            for values in zip(*columns, strict=True)
        ]
        validation = measure(rewards)
        if validation is None:
            return metrics
        self._selection.add(self.global_steps, validation)
        print(self._selection.told())
        if self._keep:
            # The one chosen so far, if another is now.
            self._selection.prune(self._keep, before=self.global_steps + 1)
        if self._is_over():
            print(f"the training ends at step {self.global_steps}: its patience is over")
            self.total_training_steps = self.global_steps
        return metrics | validation.curves

    def _is_over(self) -> bool:
        return self._patience is not None and self._selection.since_chosen() >= self._patience
