"""verl's replay buffer, which shows every finished rollout to an `ExpertWatch` before
any of them is thrown away.

Dynamic sampling evicts groups whose answers tie and samples on. Rollouts without a verdict tie, so
with an expert that is down the trainer itself would never see one: the buffer has to look.
"""

from collections import Counter
from collections.abc import Iterable

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from recipe.difficulty_calib.expert_watch import ExpertWatch
from recipe.difficulty_calib.rollout_rewards import rewards_of


class WatchedReplayBuffer(ReplayBuffer):
    """A replay buffer made by verl, watched."""

    watch: ExpertWatch
    _shown: set[tuple[str, str]]

    @classmethod
    def of(cls, stock: ReplayBuffer, watch: ExpertWatch) -> "WatchedReplayBuffer":
        """The same buffer, watched; verl alone knows how to configure one."""
        buffer = cls.__new__(cls)
        buffer.__dict__.update(vars(stock))
        buffer.watch = watch
        buffer._shown = set()
        return buffer

    def _terminal_eviction_reasons(
        self, global_steps: int, partition_id: str
    ) -> tuple[set[str], set[str], set[str], Counter]:
        self._show(self.finished_keys[partition_id], partition_id)
        return super()._terminal_eviction_reasons(global_steps, partition_id)

    def _show(self, finished: Iterable[str], partition_id: str) -> None:
        groups = {(partition_id, uid) for uid in finished}
        new = {uid for _, uid in groups - self._shown}
        keys = [key for key in self.partitions[partition_id] if key.split("_")[0] in new]
        if keys:
            self.watch.see(rewards_of(keys, partition_id).values(), training=partition_id != "val")
        # Groups of other partitions, and those that are gone, are not finished here.
        self._shown = {group for group in self._shown if group[0] != partition_id} | groups
