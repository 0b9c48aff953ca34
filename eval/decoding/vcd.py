"""Visual contrastive decoding (VCD, Leng et al. 2023): less of what is said of a noised image too.

Written from the paper. T steps of a diffusion blur the image v, in the values that the vision tower
reads,

    v' = sqrt(a_T) v + sqrt(1 - a_T) eps,   eps ~ N(0, 1),   a_T = prod_{t <= T} (1 - b_t),
    b_t = 1e-5 + (5e-3 - 1e-5) sigmoid(s_t),   s_1 ... s_1000 evenly from -6 to 6

and each token is drawn from softmax(c / temperature), with l and l' the logits given v and v':

    c(y) = (1 + alpha) l(y) - alpha l'(y)   where p(y | v) >= beta max_w p(w | v),   -inf elsewhere.

With alpha = 0 and beta = 0 that is plain sampling. A prompt without an image is decoded plainly.
The noise of an answer depends on its seed alone. Both copies that Qwen2.5-VL makes of a still image
(`temporal_patch_size`) get the same noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, LogitsProcessor

from data_prep.engines.interface import Sampling
from data_prep.engines.steering import Steering
from eval.protocols import request_seed
from reward_fns.errors import UserError

STEPS = 1000
"""Of the whole diffusion."""


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


def kept_signal(steps: int) -> float:
    """a_T: the share of the image's variance that is left after so many steps, 1 for none."""
    rates = torch.sigmoid(torch.linspace(-6, 6, STEPS, dtype=torch.float64))
    rates = 1e-5 + (5e-3 - 1e-5) * rates
    return torch.prod(1 - rates[:steps]).item()


def noised(
    inputs: Mapping[str, Any], seeds: Sequence[int], steps: int, config: Any
) -> dict[str, Any]:
    """The inputs with noised pixels, one image a row.

    Args:
        seeds: one a row.
        config: the model's, for the layout of Qwen's patches.
    """
    pixels, kept = inputs["pixel_values"], kept_signal(steps)
    grid = inputs.get("image_grid_thw")
    # Qwen's patches of all images stand in one long row; other models have a row an image.
    sizes = [1] * len(pixels) if grid is None else grid.prod(-1).tolist()
    vision = None if grid is None else config.vision_config
    noise = [
        _noise(part, request_seed(seed, "vcd"), vision)
        for part, seed in zip(pixels.split(sizes), seeds, strict=True)
    ]
    blurred = math.sqrt(kept) * pixels + math.sqrt(1 - kept) * torch.cat(noise).to(pixels)
    return {**inputs, "pixel_values": blurred}


def _noise(pixels: Any, seed: int, vision: Any) -> Any:
    """Normal values of the pixels' shape, drawn on the CPU so that they are the same everywhere."""
    generator = torch.Generator().manual_seed(seed)
    if vision is None:
        return torch.randn(pixels.shape, generator=generator)
    # A patch is (channels, copies of the image, height, width), flat.
    side, copies = vision.patch_size, vision.temporal_patch_size
    shape = (len(pixels), -1, copies, side, side)
    one = pixels.reshape(shape)[:, :, :1]
    noise = torch.randn(one.shape, generator=generator)
    return noise.expand(-1, -1, copies, -1, -1).reshape(pixels.shape)
