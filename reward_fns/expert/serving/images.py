"""A picture as a server takes it: PNG, JPEG, GIF and WebP as they are, everything else
that Pillow reads as PNG.

A picture that a viewer turns (EXIF orientation) is turned, since servers differ in whether they
do. Of several frames what is converted is the first. No picture is made smaller: what a server
accepts and how it scales is the server's. One of more than 179 million pixels that Pillow has
to open is refused there.
"""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from reward_fns.expert.errors import ExpertError

if TYPE_CHECKING:
    from PIL import Image

_MIME_BY_SIGNATURE = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
_MAY_BE_TURNED = ("image/jpeg", "image/webp")
_WITHOUT_A_SCALE = ("I", "F")  # 32 bits, floating point
_ORIENTATION = 0x0112  # the EXIF tag; 1 or none is upright


def _mime(image: bytes) -> str | None:
    found = next((m for start, m in _MIME_BY_SIGNATURE.items() if image.startswith(start)), None)
    return None if found == "image/webp" and image[8:12] != b"WEBP" else found


def in_eight_bits(image: "Image.Image") -> "Image.Image":
    """A grey picture of 16 bits in 8, by its full range; Pillow cuts at 255,
    which leaves it white.
    """
    return (
        image.point(lambda value: value * (1 / 257) + 0).convert("L")
        if image.mode.startswith("I;16")
        else image
    )


def _unreadable(image: bytes, why: str) -> ExpertError:
    return ExpertError(
        f"the image ({len(image)} bytes) cannot be read ({why}): give a picture of 8 bits a colour "
        "in a file that Pillow opens",
        "image",
    )


def _converted(image: bytes, keep_upright: bool) -> bytes | None:
    """The picture upright as PNG; None if it is upright already and may stay as it is."""
    # Not needed by the oracle.
    from PIL import Image, ImageOps

    try:
        with Image.open(BytesIO(image)) as opened:
            if keep_upright and opened.getexif().get(_ORIENTATION, 1) == 1:
                return None
            if opened.mode in _WITHOUT_A_SCALE:
                raise _unreadable(image, f"numbers without a scale, mode {opened.mode}")
            upright = in_eight_bits(ImageOps.exif_transpose(opened))
            out = BytesIO()
            upright.convert("RGBA" if upright.has_transparency_data else "RGB").save(out, "PNG")
    except ExpertError:
        raise
    except Exception as error:  # Pillow's readers raise whatever their format's fault is
        raise _unreadable(image, type(error).__name__) from error
    return out.getvalue()


def image_url(image: bytes) -> str:
    """The image as a data URL.

    Raises:
        ExpertError: not an image (reason "image").
    """
    if not isinstance(image, bytes):
        raise TypeError(
            f"a request's images are a tuple of encoded files, got {type(image).__name__}"
        )
    mime = _mime(image)
    if mime is None or mime in _MAY_BE_TURNED:
        converted = _converted(image, keep_upright=mime is not None)
        if converted is not None:
            image, mime = converted, "image/png"
    return f"data:{mime};base64,{base64.b64encode(image).decode()}"


def image_urls(images: Sequence[bytes]) -> tuple[str, ...]:
    """Each image as a data URL.

    Raises:
        ExpertError: one is no image (reason "image").
    """
    return tuple(map(image_url, images))
