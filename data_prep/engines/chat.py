"""From chat turns and an image file to what a model's processor reads; the same for every
engine that loads a model.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reward_fns.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

logger = logging.getLogger(__name__)


def chat_text(processor: Any, messages: list[dict[str, Any]]) -> str:
    """The chat template over the turns and the start of the answer, with one mark for the image.

    A template that writes the beginning-of-sequence token itself, where the tokenizer adds one
    too, does not double it.

    Raises:
        UserError: the model has no chat template, or it refuses the turns.
    """
    from jinja2 import TemplateError

    try:
        text: str = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
    except (ValueError, TemplateError) as error:
        raise UserError(
            f"the model's chat template does not fit: {str(error).splitlines()[0]}"
        ) from error
    tokenizer = processor.tokenizer
    start = tokenizer.bos_token
    if start and text.startswith(start) and tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]:
        return text.removeprefix(start)
    return text


def open_image(image: bytes | None) -> "Image | None":
    """An encoded image in RGB; None for none.

    Raises:
        UserError: it cannot be read.
    """
    if image is None:
        return None
    with _readable():
        return rgb(_opened(image))


def rgb(image: "Image") -> "Image":
    """An image as every model is shown it: upright and in RGB of 8 bits.

    vLLM turns an image by the orientation in its EXIF data, transformers' processors do not;
    turned here, it is the same for both, and for a judge. A grey image of 16 bits, of which
    `convert` alone makes a white one, is scaled.
    """
    from PIL import ImageOps

    from reward_fns.expert.serving.images import in_eight_bits

    try:
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # EXIF data is broken in many ways; vLLM too leaves such an image
        logger.warning("an image is shown as it is: its EXIF data cannot be read (%s)", error)
    return in_eight_bits(image).convert("RGB")


def in_eight_bits_for_a_server(image: bytes) -> bytes:
    """The encoded image as it is, but for a grey one of 16 bits, which servers
    turn white: as PNG of 8.

    Raises:
        UserError: it cannot be read.
    """
    with _readable():
        opened = _opened(image)
        if not opened.mode.startswith("I;16"):
            return image
        out = io.BytesIO()
        rgb(opened).save(out, "PNG")
    return out.getvalue()


def media_type(image: bytes) -> str:
    """Of an encoded image: "image/png", ...

    Raises:
        UserError: it cannot be read.
    """
    with _readable():
        return _opened(image).get_format_mimetype() or "image/png"


def _opened(image: bytes) -> "ImageFile":
    from PIL import Image

    return Image.open(io.BytesIO(image))


@contextmanager
def _readable() -> Iterator[None]:
    from PIL import Image

    try:
        yield
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"the image of a request cannot be read ({error})") from error
