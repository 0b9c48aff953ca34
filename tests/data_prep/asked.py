"""Requests to the pocket model for tests of the engines."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.engines import GenerationRequest

POCKET = str(Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model")


def ask(number, text="Which digit is it?"):
    """A question about an image of noise; `number` decides both image and seed."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    parts = [{"type": "image"}, {"type": "text", "text": text}]
    return GenerationRequest([{"role": "user", "content": parts}], 10 * number, buffer.getvalue())
