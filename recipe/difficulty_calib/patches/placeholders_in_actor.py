"""Give the placeholder tokens probability 0 in actor and reference too: the policy
is what is sampled from.

vLLM tells a rollout's log-probabilities after its sampling masks (verl's `logprobs_mode`), so
without this the two would differ by `log(1 - p)`, p the placeholders' probability.
"""

from typing import Any

import torch

from data_prep.engines.placeholders import placeholder_ids
from recipe.difficulty_calib.patches import Patch


def rule_out(model: Any) -> None:
    """Have a model's head give its placeholder tokens a logit whose probability is 0."""
    head, ids = model.get_output_embeddings(), placeholder_ids(model.config)
    if head is None or not ids:
        return

    def on_logits(module: torch.nn.Module, inputs: Any, logits: torch.Tensor) -> None:
        # Not -inf, which makes the entropy NaN; a sixteenth leaves room for a low temperature.
        lowest = torch.finfo(logits.dtype).min / 16
        logits.index_fill_(-1, torch.tensor(ids, device=logits.device), lowest)

    head.register_forward_hook(on_logits)


def _apply(module: Any) -> None:
    engine = module.FSDPEngine
    stock = engine._build_module

    def _build_module(self: Any) -> Any:
        model = stock(self)
        if self.model_config.model_type == "language_model":
            rule_out(model)
        return model

    engine._build_module = _build_module


PATCH = Patch(
    name="no placeholder token in the actor's distribution",
    module="verl.workers.engine.fsdp.transformer_impl",
    touches=("FSDPEngine._build_module",),
    reason="the actor's log-probabilities would hold a share for tokens that rollouts never draw",
    apply=_apply,
)
