"""What an engine shows a model of an image."""

import io

import numpy as np
import pytest
from PIL import Image

from data_prep.engines.chat import in_eight_bits_for_a_server, open_image
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


def test_a_picture_of_16_bits_is_scaled_and_not_cut():
    buffer = io.BytesIO()
    values = np.array([[0, 257 * 3, 257 * 128, 65535]], np.uint16)  # 257 a step of 8 bits
    Image.fromarray(values).save(buffer, "PNG")
    deep = buffer.getvalue()
    expected = [[v, v, v] for v in (0, 3, 128, 255)]
    assert np.asarray(open_image(deep))[0].tolist() == expected
    sent = in_eight_bits_for_a_server(deep)
    assert Image.open(io.BytesIO(sent)).mode == "RGB"
    assert np.asarray(open_image(sent))[0].tolist() == expected
    assert in_eight_bits_for_a_server(photo(6)) == photo(6)  # as it is
