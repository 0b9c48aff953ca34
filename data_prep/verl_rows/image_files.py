"""The one place where stage one reads and checks an encoded picture."""

import io
from pathlib import Path


class NoRegularFileError(OSError):
    """A device or a pipe: /dev/zero never ends, and a FIFO never begins."""

    def __init__(self) -> None:
        super().__init__("it is no regular file")


def read_file(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        NoRegularFileError: something else stands there.
        OSError: there is no such file, or it may not be read.
    """
    if path.exists() and not path.is_file():
        raise NoRegularFileError
    return path.read_bytes()


def check_picture(content: bytes, *, decode: bool) -> None:
    """Hold bytes against what Pillow reads.

    Args:
        decode: every pixel, so that a torn file is found out; else the header and, where the
            format has them, checksums: enough where a decoded one was looked at before.

    Raises:
        ValueError: no picture, or a broken one; the message is Pillow's.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            if decode:
                image.load()
            else:
                image.verify()
    except Exception as error:  # PIL's plugins for AVIF, BLP, DDS raise what their parsers raise
        raise ValueError(str(error)) from error
