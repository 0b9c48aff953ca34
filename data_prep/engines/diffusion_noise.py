"""An image blurred by the forward process of a diffusion: VCD's and POVID's noised image.

T steps blur the image v, in the values that the vision tower reads, to

    v' = sqrt(a_T) v + sqrt(1 - a_T) eps,   eps ~ N(0, 1),   a_T = prod_{t <= T} (1 - b_t),
    b_t = 1e-5 + (5e-3 - 1e-5) sigmoid(s_t),   s_1 ... s_1000 evenly from -6 to 6

Both copies that Qwen2.5-VL makes of a still image (`temporal_patch_size`) get the same noise.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

STEPS = 1000
"""Of the whole diffusion."""


def kept_signal(steps: int) -> float:
    """a_T: the share of the image's variance that is left after so many steps, 1 for none."""
    rates = torch.sigmoid(torch.linspace(-6, 6, STEPS, dtype=torch.float64))
    rates = 1e-5 + (5e-3 - 1e-5) * rates
    return torch.prod(1 - rates[:steps]).item()


def with_noise(
    inputs: Mapping[str, Any], seeds: Sequence[int], steps: int, config: Any
) -> dict[str, Any]:
    """The inputs with noised pixels, one image a row.

    Args:
        seeds: one a row.
        steps: T, 0 (the image itself) to `STEPS`.
        config: the model's, for the layout of Qwen's patches.
    """
    pixels, kept = inputs["pixel_values"], kept_signal(steps)
    grid = inputs.get("image_grid_thw")
    # Qwen's patches of all images stand in one long row; other models have a row an image.
    sizes = [1] * len(pixels) if grid is None else grid.prod(-1).tolist()
    vision = None if grid is None else config.vision_config
    noise = [
        _noise(part, seed, vision) for part, seed in zip(pixels.split(sizes), seeds, strict=True)
    ]
    blurred = math.sqrt(kept) * pixels + math.sqrt(1 - kept) * torch.cat(noise).to(pixels)
    return {**inputs, "pixel_values": blurred}


def _noise(pixels: Any, seed: int, vision: Any) -> Any:
    """Normal values of the pixels' shape, drawn on the CPU: the same everywhere."""
    generator = torch.Generator().manual_seed(seed)
    if vision is None:
        return torch.randn(pixels.shape, generator=generator)
    # A patch is (channels, copies of the image, height, width), flat.
    side, copies = vision.patch_size, vision.temporal_patch_size
    shape = (len(pixels), -1, copies, side, side)
    one = pixels.reshape(shape)[:, :, :1]
    noise = torch.randn(one.shape, generator=generator)
    return noise.expand(-1, -1, copies, -1, -1).reshape(pixels.shape)
