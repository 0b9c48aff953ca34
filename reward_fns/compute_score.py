"""The reward as verl calls a custom reward function. Two lines of configuration use it from any verl recipe:

    reward.custom_reward_function.path=pkg://reward_fns.compute_score
    reward.custom_reward_function.name=compute_score

Arguments go through ``+reward.custom_reward_function.reward_kwargs``: rule, scheme, coefficients_file, expert. verl
hands a bare function neither the images nor a way to set aside a sample whose expert failed; the reward manager
``difficulty_guided`` of recipe/difficulty_calib has both and shares `judge_response` and `reward_dict` with this
function.
"""

import json
import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from reward_fns.difficulty import find_coefficients
from reward_fns.expert import TASKS, Expert, make_expert
from reward_fns.judging import (
    NO_CONFIDENCE,
    REWARD_KEYS,
    JudgedResponse,
    judge_response,
    reward_dict,
)

logger = logging.getLogger(__name__)

__all__ = [
    "NO_CONFIDENCE",
    "REWARD_KEYS",
    "JudgedResponse",
    "compute_score",
    "expert_for",
    "judge_response",
    "reward_dict",
    "task_of",
]


@lru_cache(maxsize=32)
def _cached_expert(options: str) -> Expert:
    return make_expert(json.loads(options))


def expert_for(
    config: str | Mapping[str, Any] | Expert, reward_router_address: str | None = None
) -> Expert:
    """The expert that a configuration names, one object for one configuration; an expert is returned as it is.

    Where verl serves a reward model, an "openai" expert without ``base_url`` asks that model.

    Raises:
        ValueError: as `expert.make_expert`.
    """
    if not isinstance(config, str | Mapping):
        return config
    options = {"kind": config} if isinstance(config, str) else dict(config)
    if (
        options.get("kind") == "openai"
        and options.get("base_url") is None
        and reward_router_address is not None
    ):
        options["base_url"] = f"http://{reward_router_address}/v1"
    return _cached_expert(json.dumps(options, sort_keys=True))


def task_of(extra_info: Mapping[str, Any], ground_truth: str | None) -> str:
    """The sample's task: `extra_info`'s, else the one that a JSON ground truth names, else "QA"."""
    task = extra_info.get("task")
    if task is None and isinstance(ground_truth, str):
        try:
            content = json.loads(ground_truth)
        except (ValueError, RecursionError):
            content = None
        task = content.get("task") if isinstance(content, dict) else None
    return task if task in TASKS else "QA"


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | None,
    extra_info: Mapping[str, Any] | None = None,
    *,
    rule: str = "paper",
    scheme: str = "table4",
    coefficients_file: str | os.PathLike[str] | None = None,
    expert: str | Mapping[str, Any] | Expert = "oracle",
    reward_router_address: str | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Reward of one response, under the keys `REWARD_KEYS` (see `judging.reward_dict` for each).

    Args:
        data_source: dataset tag; its coefficients come from `coefficients_file` if listed there, else by `scheme`.
        solution_str: the response.
        ground_truth: what the expert compares with.
        extra_info: "question" ("" if missing) and "task" (see `task_of` if missing) are read.
        rule: "paper" or "proper".
        scheme: see `difficulty`.
        coefficients_file: YAML file, see `coefficients_file`.
        expert: see `expert.make_expert`, or an expert.
        reward_router_address: host:port of the reward model that verl serves, passed by verl.
        kwargs: whatever else verl passes; not read.

    Raises:
        ValueError: the configuration is wrong (unknown dataset, rule, scheme or expert). What the response or the
            expert does never raises.
    """
    info = extra_info or {}
    coefficients = find_coefficients(data_source, scheme, coefficients_file)
    judged = await judge_response(
        response=solution_str,
        question=str(info.get("question") or ""),
        task=task_of(info, ground_truth),
        ground_truth=ground_truth,
        image=None,
        expert=expert_for(expert, reward_router_address),
    )
    if judged.error is not None:
        level = logging.ERROR if judged.fatal else logging.WARNING
        logger.log(
            level, "no verdict for question %s: %s", info.get("question_id", "?"), judged.error
        )
    return reward_dict(judged, coefficients, rule)
