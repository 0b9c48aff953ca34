"""The reward as verl calls a custom reward function: two lines and an expert, in any verl recipe.

    reward.custom_reward_function.path=pkg://reward_fns.compute_score
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.expert=...

verl hands a bare function neither images nor prompt; the reward manager ``difficulty_guided`` of
recipe/difficulty_calib has both.

Without a verdict this function raises. verl 0.9.1 logs it and leaves that rollout out of its group,
so the advantages of the others are theirs alone; a score of 0 would stand among them with an
advantage of -2.47 beside seven right answers and +2.47 beside seven wrong ones.
"""

from collections.abc import Mapping
from typing import Any

from reward_fns.errors import ConfigurationError
from reward_fns.expert import ExpertError, FatalExpertError
from reward_fns.reward import make_reward
from reward_fns.sample import read_sample


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
    **options: Any,
) -> dict[str, float]:
    """Reward of one response, under the keys `judging.REWARD_KEYS` (see
    `judging.reward_dict` for each).

    Args:
        data_source: dataset tag, by which the coefficients are found.
        solution_str: the response.
        ground_truth, extra_info: see `sample.read_sample`; the question stands in `extra_info`.
        reward_router_address: host:port of the reward model that verl serves, passed by verl.
        reward_model_tokenizer: passed by verl with it; not read.
        options: those of `reward.DifficultyReward`; ``expert`` is required.

    Raises:
        ConfigurationError, FatalExpertError: the run cannot go on; every later call with these
            options raises it too, so that verl ends for want of samples.
        ExpertError: no verdict on this response.
    """
    reward = make_reward(options, reward_router_address)
    try:
        sample = read_sample(
            data_source=data_source, ground_truth=ground_truth, extra_info=extra_info
        )
    except ConfigurationError as error:
        raise reward.end(str(error)) from error
    outcome = await reward.outcome(solution_str, sample)
    judged = outcome.judged
    if judged.error is not None:
        kind = FatalExpertError if judged.fatal else ExpertError
        raise kind(
            f"no verdict for question {sample.question_id}: {judged.error}",
            judged.reason or "other",
        )
    return outcome.values
