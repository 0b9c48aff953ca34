"""Pre-training of the CLIP tower, as a LLaVA starts from a tower that can already see.

Two linear heads, thrown away afterwards, read the features that the language model will get: what
stands in each quarter of the image (or in the whole of it) and in which colour. Through text alone
the same takes much longer.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

from data_prep.pocket import datasets, draw, emblems, model

LEARNING_RATE = 2e-3
WARMUP_STEPS = 50
IMAGES = 48
"""Images of each dataset in a batch."""
_EMPTY = 10 + len(emblems.NAMES)


class Labelled(NamedTuple):
    """Pixels (n, 3, 32, 32); kinds (n, 5) and colours (n, 5): the four quarters, then the
    whole; -100 is not asked.
    """

    pixels: torch.Tensor
    kinds: torch.Tensor
    colours: torch.Tensor


def labelled(step: int, seed: int) -> Labelled:
    """The batch of one step, a function of (seed, step) alone."""
    rng = np.random.default_rng((seed, 1, step))
    images, kinds, colours = [], [], []
    for name, dataset in datasets.DATASETS.items():
        drawn = datasets.draw_batch(name, "base", IMAGES, rng, emblems.BASE_EXPONENT)
        kind = np.full((IMAGES, 5), -100, dtype=np.int64)
        colour = np.full((IMAGES, 5), -100, dtype=np.int64)
        if dataset.task == "Detail":
            kind[:, :4] = _EMPTY
        for row, things in enumerate(drawn.things):
            for thing in things:
                at = 4 if dataset.task == "QA" else thing.place
                kind[row, at] = 10 + thing.value if thing.emblem else thing.value
                colour[row, at] = thing.colour
        images.append(drawn.images)
        kinds.append(kind)
        colours.append(colour)
    pixels = model.pixel_values(np.concatenate(images))
    return Labelled(
        pixels, torch.from_numpy(np.concatenate(kinds)), torch.from_numpy(np.concatenate(colours))
    )


class Reader(nn.Module):
    """The tower with its two throw-away heads."""

    def __init__(self, net: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.tower = net.model.vision_tower
        self.layer = net.config.vision_feature_layer
        width = net.config.vision_config.hidden_size
        self.norm = nn.LayerNorm(width)
        self.kind = nn.Linear(width, _EMPTY + 1)
        self.colour = nn.Linear(width, len(draw.COLOURS))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of kinds (n, 5, 51) and colours (n, 5, 6)."""
        hidden = self.tower(pixels, output_hidden_states=True).hidden_states[self.layer][:, 1:]
        side = draw.IMAGE_SIZE // model.PATCH_SIZE
        grid = (
            hidden.unflatten(1, (2, side // 2, 2, side // 2)).mean((2, 4)).flatten(1, 2)
        )  # (n, 4, width)
        features = self.norm(torch.cat([grid, grid.mean(1, keepdim=True)], 1))
        return self.kind(features), self.colour(features)


def pretrain(net: LlavaForConditionalGeneration, steps: int, seed: int) -> None:
    """Train the tower of `net` in place."""
    reader = Reader(net).train()
    optimizer = torch.optim.AdamW(
        reader.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.02
    )
    schedule = model.warmup_cosine(optimizer, WARMUP_STEPS, steps)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(labelled, 0, seed)
        for step in range(steps):
            batch = upcoming.result()
            upcoming = pool.submit(labelled, step + 1, seed)
            kinds, colours = reader(batch.pixels)
            loss = nn.functional.cross_entropy(kinds.flatten(0, 1), batch.kinds.flatten())
            loss = loss + 0.3 * nn.functional.cross_entropy(
                colours.flatten(0, 1), batch.colours.flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 50 == 0 or step == steps - 1:
                right = (kinds.argmax(-1) == batch.kinds).float()
                things = (batch.kinds >= 0) & (batch.kinds != _EMPTY)
                shown = [
                    right[i * IMAGES : (i + 1) * IMAGES][things[i * IMAGES : (i + 1) * IMAGES]]
                    .mean()
                    .item()
                    for i in range(len(datasets.DATASETS))
                ]
                rate = (step + 1) / (time.monotonic() - began)
                print(
                    f"tower {step + 1}/{steps} loss {loss.item():.3f} right",
                    *(f"{x:.2f}" for x in shown),
                    f"{rate:.2f} steps/s, {(steps - step - 1) / rate / 60:.1f} min left",
                    flush=True,
                )
