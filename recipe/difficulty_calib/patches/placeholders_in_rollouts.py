"""Keep vLLM from drawing a placeholder token (`<image>`, `<|image_pad|>`, ...) in a rollout."""

import functools
from typing import Any

from data_prep.engines.placeholders import never, placeholder_ids
from recipe.difficulty_calib.patches import Patch


def _apply(module: Any) -> None:
    server = module.vLLMHttpServer
    stock = server.generate

    @functools.wraps(stock)
    async def generate(
        self: Any, prompt_ids: list[int], sampling_params: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        biases = sampling_params.get("logit_bias") or {}
        biases = {**biases, **never(placeholder_ids(self.model_config.hf_config))}
        given = {**sampling_params, "logit_bias": biases} if biases else sampling_params
        return await stock(self, prompt_ids, given, *args, **kwargs)

    server.generate = generate


PATCH = Patch(
    name="no placeholder token in a rollout",
    module="verl.workers.rollout.vllm_rollout.vllm_async_server",
    touches=("vLLMHttpServer.generate",),
    reason="a policy has learned a little probability for its placeholder tokens; the forward pass "
    "over a response that holds one fails",
    apply=_apply,
)
