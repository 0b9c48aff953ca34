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

from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from recipe.difficulty_calib.dataset import open_image
from recipe.difficulty_calib.expert_watch import REPORT_KEY, report
from reward_fns.compute_score import expert_for, judge_response, reward_dict, task_of
from reward_fns.difficulty import find_coefficients

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
        self.rule: str = options.rule
        self.scheme: str = options.scheme
        self.coefficients_file: str | None = options.coefficients_file
        expert: Any = (
            OmegaConf.to_container(options.expert)
            if OmegaConf.is_config(options.expert)
            else options.expert
        )
        self.expert = expert_for(expert, reward_router_address)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        item = data[-1]
        response_ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-response_ids.shape[-1] :].sum())
        fields = item.non_tensor_batch
        info = fields.get("extra_info") or {}
        ground_truth = fields["reward_model"]["ground_truth"]
        judged = await judge_response(
            response=self.tokenizer.decode(response_ids[:length], skip_special_tokens=True),
            question=str(info.get("question") or ""),
            task=task_of(info, ground_truth),
            ground_truth=ground_truth,
            image=image_of(list(fields["raw_prompt"])),
            expert=self.expert,
        )
        if judged.error is not None:
            logger.warning(
                "no verdict for question %s: %s", info.get("question_id", "?"), judged.error
            )
        coefficients = find_coefficients(fields["data_source"], self.scheme, self.coefficients_file)
        reward = reward_dict(judged, coefficients, self.rule)
        extra = {**reward, REPORT_KEY: report(self.expert, judged)}
        return {"reward_score": reward["score"], "reward_extra_info": extra}
