"""verl reward manager ``difficulty_guided``: Algorithm 1 with what a bare reward function cannot have.

The reward is that of `reward_fns.compute_score`, and so are the options
(``reward.custom_reward_function.reward_kwargs``). This manager adds the images (the expert sees
what the model saw, all of it), the question from the prompt where ``extra_info`` has none, and
what happens where there is no verdict:

| trainer | a failed expert call | what can never be scored (wrong options, unlisted dataset, ...) |
|---|---|---|
| ``difficulty_guided`` | marked; leaves its group | ends the run at the first sample |
| another of verl's | raised: verl leaves the rollout out | this and every later sample of this worker is |
| | | raised; verl ends the run when a batch is empty |

In another trainer too many failed calls are treated as what can never be scored. How many are too
many: `options.TrainerOptions`, here over the rollouts of one worker.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
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
    RewardOptions,
    TrainerOptions,
    check_served_expert,
    is_watched,
)
from reward_fns.claims import FORMAT_INSTRUCTION, parse_response
from reward_fns.compute_score import (
    NO_CONFIDENCE,
    REWARD_KEYS,
    JudgedResponse,
    expert_for,
    judge_response,
    reward_dict,
    task_of,
)
from reward_fns.difficulty import find_coefficients
from reward_fns.expert import ExpertError

logger = logging.getLogger(__name__)

_AT_LEAST = 64
"""Rollouts of a worker that have to be seen before the share of failed ones means anything."""


@register("difficulty_guided")
class DifficultyGuidedRewardManager(RewardManagerBase):
    """Scores one rollout a call, as verl's agent loop asks for them.

    Raises:
        OptionError: an option that does not exist, or a reward model without GPUs of its own.
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
        self.options = RewardOptions.of(config)
        self.expert = expert_for(self.options.expert, reward_router_address)
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
        judged, reward = await self._scored(self._response(item), item.non_tensor_batch)
        if judged.error is not None:
            info = item.non_tensor_batch.get("extra_info") or {}
            logger.warning(
                "no verdict for question %s: %s", info.get("question_id", "?"), judged.error
            )
        extra = {**reward, REPORT_KEY: report(self.expert, judged)}
        if not self._watched:
            self._watch(extra)
            if judged.error is not None:
                raise ExpertError(judged.error)
        return {"reward_score": reward["score"], "reward_extra_info": extra}

    def _response(self, item: Any) -> str:
        ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-ids.shape[-1] :].sum())
        text: str = self.tokenizer.decode(ids[:length], skip_special_tokens=True)
        return text

    async def _scored(
        self, response: str, fields: Mapping[str, Any]
    ) -> tuple[JudgedResponse, dict[str, float]]:
        info = fields.get("extra_info") or {}
        ground_truth = fields["reward_model"]["ground_truth"]
        options = self.options
        try:
            coefficients = find_coefficients(
                fields["data_source"], options.scheme, options.coefficients_file
            )
            question = question_of(info, fields["raw_prompt"])
        except ValueError as error:
            return _unscored(str(error), fatal=True)
        try:
            # Other rollouts go on while an image is fetched.
            images = await asyncio.to_thread(encoded_images_of, fields["raw_prompt"])
        except ValueError as error:
            return _unscored(str(error), fatal=False)
        judged = await judge_response(
            response=response,
            question=question,
            task=task_of(info, ground_truth),
            ground_truth=ground_truth,
            image=images[0] if images else None,
            expert=self.expert,
        )
        return judged, reward_dict(judged, coefficients, options.rule)

    def _watch(self, reward: Mapping[str, Any]) -> None:
        try:
            self._own_watch.see([reward], training=True)
        except ExpertFailureError as error:
            logger.error("%s", error)
            self._ended = error
            raise


def _unscored(reason: str, fatal: bool) -> tuple[JudgedResponse, dict[str, float]]:
    """A rollout that was never judged, with verl's keys."""
    reward = dict.fromkeys(REWARD_KEYS, 0.0)
    reward |= {"expert_failed": 1.0, "confidence": NO_CONFIDENCE}
    return JudgedResponse(parse_response(""), None, reason, fatal), reward


def question_of(info: Mapping[str, Any], raw_prompt: Sequence[Mapping[str, Any]]) -> str:
    """What the model was asked: `extra_info`'s question, else the text of the last user turn.

    Raises:
        ValueError: there is neither.
    """
    if info.get("question"):
        return str(info["question"])
    said = [turn["content"] for turn in raw_prompt if turn["role"] == "user"]
    content = said[-1] if said else ""
    if not isinstance(content, str):
        content = "".join(part.get("text", "") for part in content if part["type"] == "text")
    question = content.replace("<image>", "").replace(FORMAT_INSTRUCTION, "").strip()
    if not question:
        raise ValueError(
            "a row has no question: give it extra_info.question, or a prompt with text"
        )
    return question
