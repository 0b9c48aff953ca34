"""OpenRLHF's reward function: a file of one's own names the options, the trainer
imports `reward_func` from it.

    # my_reward.py, given as --reward.remote_url my_reward.py (before 0.9: --remote_rm_url)
    from reward_fns.adapters.openrlhf import make_reward_func
    judge = {"kind": "openai", "model": "gpt-4o"}
    reward_func = make_reward_func(expert=judge, data_source="VQAv2")

OpenRLHF hands over the query (prompt and response with its special tokens), the prompt and the
label, no images and no other column. So a label is the reference alone, or a JSON text with
`data_source`, `question`, `task` and `ground_truth`. A response without a verdict gets its group's
mean (`rows.Filling`): there is no "none" here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from reward_fns.adapters.background import run
from reward_fns.adapters.rows import Filling, row_of, sample_of, scored
from reward_fns.errors import ConfigurationError
from reward_fns.reward import make_reward


def response_of(query: str, prompt: str) -> str:
    """What stands behind the prompt in a query.

    Raises:
        ConfigurationError: the query does not begin with the prompt.
    """
    if not query.startswith(prompt):
        raise ConfigurationError(
            f"a query does not begin with its prompt ({prompt[:60]!r}...): the response "
            "cannot be told from it"
        )
    return query[len(prompt) :]


def make_reward_func(
    *, data_source: str | None = None, **options: Any
) -> Callable[..., dict[str, Any]]:
    """A reward function with its options.

    Args:
        data_source: dataset of labels that name none.
        options: see `reward.DifficultyReward`; ``expert`` is needed.

    Raises:
        ConfigurationError: an option that cannot work.
    """
    reward, filling = make_reward(options), Filling()

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        # OpenRLHF has it; this package does not ask for it.
        import torch

        rows = [
            (response_of(query, prompt), sample_of(row_of(label), data_source, prompt))
            for query, prompt, label in zip(queries, prompts, labels, strict=True)
        ]
        values = run(scored(reward, rows))
        logs = {key: torch.tensor([one[key] for one in values]) for key in values[0]}
        return {
            "rewards": torch.tensor(
                filling.filled(values, list(zip(prompts, map(str, labels), strict=True)))
            ),
            "scores": logs["acc"],
            "extra_logs": logs,
        }

    return reward_func
