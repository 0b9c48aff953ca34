"""What an engine shows a model of an image."""

import io

import pytest
from PIL import Image

from data_prep.engines.chat import open_image
from reward_fns.errors import UserError


def photo(orientation):
    """Two pixels side by side, red and blue, with the orientation that a camera notes."""
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((1, 0), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("orientation", "size", "first"),
    [
        (1, (2, 1), (255, 0, 0)),
        (3, (2, 1), (0, 0, 255)),  # upside down: blue is first
        (6, (1, 2), (255, 0, 0)),  # to be turned clockwise: red is on top
        (8, (1, 2), (0, 0, 255)),  # counter-clockwise: blue is on top
    ],
)
def test_a_photo_is_shown_upright(orientation, size, first):
    image = open_image(photo(orientation))
    assert (image.size, image.getpixel((0, 0)), image.mode) == (size, first, "RGB")


def test_what_is_no_image_is_refused():
    with pytest.raises(UserError, match="cannot be read"):
        open_image(b"not an image")
