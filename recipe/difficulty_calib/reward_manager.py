"""verl reward manager ``difficulty_guided``: Algorithm 1 with what a bare reward function cannot have.

The reward is that of `reward_fns.compute_score`, and so are the options
(``reward.custom_reward_function.reward_kwargs``). This manager adds the image: the expert sees what the model saw. A
failed expert call is logged with its reason and marked in the returned dict (``expert_failed``); the trainer
``difficulty_guided`` takes that rollout out of its group, and reads the report on the expert that each reward carries
(`expert_watch`).
"""

import logging
from io import BytesIO
from typing import Any

from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from recipe.difficulty_calib.dataset import open_image
from recipe.difficulty_calib.expert_watch import REPORT_KEY, report
from reward_fns.reward import make_reward
from reward_fns.sample import read_sample

logger = logging.getLogger(__name__)


def image_of(raw_prompt: list[dict[str, Any]]) -> bytes | None:
    """The first image of a prompt as an encoded file, None when it has none."""
    for message in raw_prompt:
        for item in message["content"] if isinstance(message["content"], list) else []:
            if item.get("type") == "image":
                if item.get("bytes"):
                    return bytes(item["bytes"])
                buffer = BytesIO()
                open_image(item).save(buffer, "PNG")
                return buffer.getvalue()
    return None


@register("difficulty_guided")
class DifficultyGuidedRewardManager(RewardManagerBase):
    """Scores one rollout a call, as verl's agent loop asks for them."""

    def __init__(
        self,
        config: DictConfig,
        tokenizer: Any,
        compute_score: Any,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        options = config.reward.custom_reward_function.reward_kwargs
        self.reward = make_reward(options, reward_router_address)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        item = data[-1]
        response_ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-response_ids.shape[-1] :].sum())
        fields = item.non_tensor_batch
        image = image_of(list(fields["raw_prompt"]))
        sample = read_sample(
            data_source=fields["data_source"],
            ground_truth=fields["reward_model"]["ground_truth"],
            extra_info=fields.get("extra_info"),
            prompt=fields["raw_prompt"],
            images=() if image is None else (image,),
        )
        response = self.tokenizer.decode(response_ids[:length], skip_special_tokens=True)
        outcome = await self.reward.outcome(response, sample)
        if outcome.judged.error is not None:
            logger.warning(
                "no verdict for question %s: %s", sample.question_id, outcome.judged.error
            )
        extra = {**outcome.values, REPORT_KEY: report(self.reward.expert, outcome.judged)}
        return {"reward_score": outcome.values["score"], "reward_extra_info": extra}
