"""TRL's `GRPOTrainer`, and ms-swift, which calls its reward functions the same way.

    GRPOTrainer(..., reward_funcs=make_reward_func(expert={"kind": "openai", "model": "gpt-4o"}))

A response without a verdict is None: TRL takes the row out of its group. Each call logs the means
of what the reward is made of (`log_metric`), failures included.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from reward_fns.adapters.background import run
from reward_fns.adapters.rows import sample_of, scored, text_of
from reward_fns.judging import NO_CONFIDENCE, REWARD_KEYS
from reward_fns.reward import make_reward

RewardFunc = Callable[..., list[float | None]]


def make_reward_func(*, data_source: str | None = None, **options: Any) -> RewardFunc:
    """A reward function with its options.

    Args:
        data_source: dataset of rows without a column ``data_source``.
        options: see `reward.DifficultyReward`; ``expert`` is needed.

    Raises:
        ConfigurationError: an option that cannot work.
    """
    reward = make_reward(options)

    def difficulty_reward(
        completions: Sequence[Any], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        log_metric = columns.pop("log_metric", None)
        rows = []
        for index, completion in enumerate(completions):
            row = {
                name: column[index]
                for name, column in columns.items()
                if isinstance(column, Sequence) and len(column) == len(completions)
            }
            prompt = prompts[index] if prompts is not None else row.get("messages")
            rows.append((text_of(completion), sample_of(row, data_source, prompt)))
        values = run(scored(reward, rows))
        if log_metric is not None:
            for name, mean in _means(values).items():
                log_metric(name, mean)
        return [None if one["expert_failed"] else one["score"] for one in values]

    return difficulty_reward


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over the judged responses, the failures' share over all."""
    judged = [one for one in values if not one["expert_failed"]]
    means = (
        {"reward/expert_failed": fmean(one["expert_failed"] for one in values)} if values else {}
    )
    for key in REWARD_KEYS:
        stated = [one[key] for one in judged if key != "confidence" or one[key] != NO_CONFIDENCE]
        if stated and key != "expert_failed":
            means[f"reward/{key}"] = fmean(stated)
    return means
