"""verl reward manager ``difficulty_guided``: Algorithm 1 with what a bare
reward function cannot have.

The reward is that of `reward_fns.compute_score`, and so are the options
(``reward.custom_reward_function.reward_kwargs``). This manager adds the images (the expert sees
what the model saw, all of it), the question from the prompt where ``extra_info`` has none, and
what happens where there is no verdict:

| trainer | a failed expert call | what can never be scored (wrong options, unlisted dataset, ...) |
|---|---|---|
| ``difficulty_guided`` | marked; leaves its group | ends the run at the first sample |
| another of verl's | raised: verl leaves the rollout out | this and every later sample of this |
| | | worker is raised; verl ends the run when a batch is empty |

In another trainer too many failed calls are treated as what can never be scored. How many are too
many: `options.TrainerOptions`, here over the rollouts of one worker.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from recipe.difficulty_calib.expert_watch import (
    REPORT_KEY,
    ExpertFailureError,
    ExpertWatch,
    report,
)
from recipe.difficulty_calib.images import encoded_images_of
from recipe.difficulty_calib.options import (
    TrainerOptions,
    check_served_expert,
    is_watched,
    reward_options,
)
from recipe.difficulty_calib.selection import QUESTION_KEY
from reward_fns.claims import parse_response
from reward_fns.errors import ConfigurationError
from reward_fns.expert import ExpertError, FatalExpertError
from reward_fns.judging import NO_CONFIDENCE, REWARD_KEYS, JudgedResponse
from reward_fns.reward import RewardOutcome, make_reward
from reward_fns.sample import Sample, read_sample

logger = logging.getLogger(__name__)

_AT_LEAST = 64
"""Rollouts of a worker that have to be seen before the share of failed ones means anything."""


@register("difficulty_guided")
class DifficultyGuidedRewardManager(RewardManagerBase):
    """Scores one rollout a call, as verl's agent loop asks for them.

    Raises:
        ConfigurationError: an option does not exist or is missing, or a reward model has no GPUs of
            its own.
    """

    def __init__(
        self,
        config: DictConfig,
        tokenizer: Any,
        compute_score: Any,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        check_served_expert(config)
        self.reward = make_reward(reward_options(config), reward_router_address)
        limits = TrainerOptions.of(config)
        self._watched = is_watched(config)
        self._own_watch = ExpertWatch(
            limits.max_expert_failure_rate, limits.expert_failure_window, at_least=_AT_LEAST
        )
        self._ended: ExpertFailureError | None = None

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """The reward of the last rollout in `data`.

        Raises:
            ExpertError: without the trainer ``difficulty_guided``, no verdict on this rollout.
            ExpertFailureError: without it, and no later rollout can be scored either.
        """
        if self._ended is not None:
            raise self._ended
        item = data[-1]
        outcome = await self._outcome(self._response(item), item.non_tensor_batch)
        error = outcome.judged.error
        info = item.non_tensor_batch.get("extra_info") or {}
        question = str(info.get("question_id", ""))
        if error is not None:
            logger.warning("no verdict for question %s: %s", question or "?", error)
        extra = {
            **outcome.values,
            QUESTION_KEY: question,
            REPORT_KEY: report(self.reward.expert, outcome.judged),
        }
        if not self._watched:
            self._watch(extra)
            if error is not None:
                raise ExpertError(error, outcome.judged.reason or "other")
        return {"reward_score": outcome.values["score"], "reward_extra_info": extra}

    def _response(self, item: Any) -> str:
        ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-ids.shape[-1] :].sum())
        text: str = self.tokenizer.decode(ids[:length], skip_special_tokens=True)
        return text

    async def _outcome(self, response: str, fields: Mapping[str, Any]) -> RewardOutcome:
        try:
            # Other rollouts go on while an image is fetched.
            images = await asyncio.to_thread(encoded_images_of, fields["raw_prompt"])
        except ValueError as error:
            return _unscored(str(error), fatal=False)
        try:
            return await self.reward.outcome(response, _sample(fields, images))
        except (ConfigurationError, FatalExpertError) as error:
            return _unscored(str(error), fatal=True)

    def _watch(self, reward: Mapping[str, Any]) -> None:
        try:
            self._own_watch.see([reward], training=True)
        except ExpertFailureError as error:
            logger.error("%s", error)
            self._ended = error
            raise


def _sample(fields: Mapping[str, Any], images: tuple[bytes, ...]) -> Sample:
    return read_sample(
        data_source=fields["data_source"],
        ground_truth=fields["reward_model"]["ground_truth"],
        extra_info=fields.get("extra_info"),
        prompt=fields["raw_prompt"],
        images=images,
    )


def _unscored(reason: str, fatal: bool) -> RewardOutcome:
    """A rollout that was never judged, with verl's keys."""
    values = dict.fromkeys(REWARD_KEYS, 0.0)
    values |= {"expert_failed": 1.0, "confidence": NO_CONFIDENCE}
    return RewardOutcome(JudgedResponse(parse_response(""), None, reason, fatal), values)
