"""Visual contrastive decoding (VCD, Leng et al. 2023): less of what is said of a noised image too.

Written from the paper. T steps of a diffusion blur the image v to v' (`engines.diffusion_noise`),
and each token is drawn from softmax(c / temperature), with l and l' the logits given v and v':

    c(y) = (1 + alpha) l(y) - alpha l'(y)   where p(y | v) >= beta max_w p(w | v),   -inf elsewhere.

With alpha = 0 and beta = 0 that is plain sampling. A prompt without an image is decoded plainly.
The noise of an answer depends on its seed alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, LogitsProcessor

from data_prep.engines.diffusion_noise import STEPS, with_noise
from data_prep.engines.interface import Sampling
from data_prep.engines.steering import Steering
from eval.protocols import request_seed
from reward_fns.errors import UserError


@dataclass(frozen=True)
class Vcd:
    """The defaults are the paper's.

    Attributes:
        alpha: strength of the contrast, >= 0.
        beta: of the plausibility cut-off, 0 (none) to 1 (the most probable token alone).
        steps: T, 0 (the image itself) to `STEPS`.

    Raises:
        UserError: a value out of range.
    """

    alpha: float = 1.0
    beta: float = 0.1
    steps: int = 500

    def __post_init__(self) -> None:
        if not (0 <= self.alpha < math.inf and 0 <= self.beta <= 1 and 0 <= self.steps <= STEPS):
            raise UserError(
                f"vcd needs alpha >= 0, beta from 0 to 1 and steps from 0 to {STEPS}, got {self}"
            )

    def steering(
        self, model: Any, inputs: Mapping[str, Any], seeds: Sequence[int], sampling: Sampling
    ) -> Steering:
        """See `data_prep.engines.steering`: a contrast for prompts with an image."""
        if inputs.get("pixel_values") is None:
            return Steering()
        return Steering(
            adjust=VisualContrast(model, noised(inputs, seeds, self.steps, model.config), self)
        )


class VisualContrast(LogitsProcessor):
    """Contrasts logits with those given a noised image; for one call of `generate`.

    Args:
        inputs: of `generate`, prompts padded on the left, with the noised image.
    """

    def __init__(self, model: Any, inputs: Mapping[str, Any], vcd: Vcd) -> None:
        self._model, self._vcd = model, vcd
        self._inputs = {name: value for name, value in inputs.items() if name != "input_ids"}
        self._cache: DynamicCache | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """From logits (B, V) to contrasted ones; `input_ids` (B, T) grows by one a call."""
        contrast = self._noised_logits(input_ids).to(scores)
        return contrasted(scores, contrast, self._vcd.alpha, self._vcd.beta)

    def _noised_logits(self, input_ids: Any) -> Any:
        """Logits (B, V) given the noised image; the cache then holds all of `input_ids`."""
        first = self._cache is None
        if self._cache is None:
            self._cache = DynamicCache(config=self._model.config.get_text_config())
            self._inputs |= {
                "past_key_values": self._cache,
                "use_cache": True,
                "logits_to_keep": 1,
            }
            self._inputs["position_ids"] = self._model._prepare_position_ids_for_generation(
                input_ids, self._inputs
            )
        prepared = self._model.prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=None if first else 1,
            is_first_iteration=first,
            **self._inputs,
        )
        with torch.no_grad():
            output = self._model(**prepared, return_dict=True)
        self._inputs = self._model._update_model_kwargs_for_generation(output, self._inputs)
        return output.logits[:, -1]


def contrasted(logits: Any, noised_logits: Any, alpha: float, beta: float) -> Any:
    """c(y) of the module's docstring, for logits (..., V)."""
    contrast = (1 + alpha) * logits - alpha * noised_logits
    if beta == 0:
        return contrast
    least = logits.max(-1, keepdim=True).values + math.log(beta)
    return contrast.masked_fill(logits < least, -torch.inf)


def noised(
    inputs: Mapping[str, Any], seeds: Sequence[int], steps: int, config: Any
) -> dict[str, Any]:
    """The inputs with noised pixels, one image a row, the noise by the seeds of the answers."""
    return with_noise(inputs, [request_seed(seed, "vcd") for seed in seeds], steps, config)
