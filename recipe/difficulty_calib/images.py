"""The images of a prompt: opened for the model's processor, encoded for the
expert, the same pixels.

A content item `{"type": "image", ...}` holds what verl's users write: encoded `bytes`,
or under `image` (or `image_url`) a `PIL.Image`, a path, a `file://` path, a `data:`
URI or an http(s) address.

What the model is shown is upright and RGB (`engines.chat.rgb`): vLLM turns a photo by its EXIF
orientation, the actor's processor does not, and they would see different images. The expert gets
the file where that changes nothing, else those pixels.
"""

import base64
import binascii
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, UnidentifiedImageError

from data_prep.engines.chat import rgb

MAX_BYTES = 20 * 2**20
"""The largest file that is fetched, OpenAI's limit for an image."""
TIMEOUT_S = 30.0
_KEPT = 128  # files that a process keeps; the rollouts of a group ask for the same one
_ORIENTATION = 0x0112
_UPRIGHT = 1


def open_image(item: Mapping[str, Any]) -> Image.Image:
    """The RGB image of one content item.

    Raises:
        ValueError: it is missing, too large, or no image; the message names it.
    """
    image = _source(item)
    if isinstance(image, Image.Image):
        return rgb(image)
    encoded = _encoded(item)
    try:
        return rgb(Image.open(BytesIO(encoded)))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"image {_name(image)} cannot be read: replace it or drop the row"
        ) from error


def images_of(messages: Sequence[Mapping[str, Any]]) -> list[Image.Image]:
    """Every image in a list of chat messages, in order."""
    return [open_image(item) for item in _items(messages)]


def encoded_images_of(messages: Sequence[Mapping[str, Any]]) -> tuple[bytes, ...]:
    """Every image in a list of chat messages as an encoded file, in order, for the expert.

    The file itself where there is one; PNG of its pixels for a `PIL.Image`, and for a file that is
    turned or transparent.

    Raises:
        ValueError: as `open_image`.
    """
    return tuple(_file(item) for item in _items(messages))


def _items(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    contents = [m["content"] for m in messages if not isinstance(m["content"], str)]
    return [item for content in contents for item in content if item.get("type") == "image"]


def _file(item: Mapping[str, Any]) -> bytes:
    if item.get("bytes") or not isinstance(_source(item), Image.Image):
        encoded = _encoded(item)
        if _is_shown_as_it_is(encoded):
            return encoded
        item = {"bytes": encoded}
    buffer = BytesIO()
    open_image(item).save(buffer, "PNG")
    return buffer.getvalue()


def _is_shown_as_it_is(encoded: bytes) -> bool:
    try:
        image = Image.open(BytesIO(encoded))
        orientation = image.getexif().get(_ORIENTATION, _UPRIGHT)
    except (UnidentifiedImageError, OSError, SyntaxError):
        return False  # opening it says what is wrong
    return bool(orientation == _UPRIGHT) and not image.has_transparency_data


def _source(item: Mapping[str, Any]) -> Any:
    found = item.get("image")
    if found is None:
        found = item.get("image_url")
    return found.get("url") if isinstance(found, Mapping) else found


def _encoded(item: Mapping[str, Any]) -> bytes:
    """The file of an item that is no `PIL.Image`."""
    if item.get("bytes"):
        return bytes(item["bytes"])
    source = str(_source(item))
    if source.startswith("data:"):
        return _decoded(source)
    if source.startswith(("http://", "https://")):
        return _download_of(source).content()
    try:
        return Path(source.removeprefix("file://")).read_bytes()
    except OSError as error:
        raise ValueError(
            f"image {source} does not exist: check the image folder that the parquet refers to"
        ) from error


def _decoded(uri: str) -> bytes:
    head, comma, data = uri.partition(",")
    try:
        if not comma or not head.endswith(";base64"):
            raise ValueError("it is not of the form data:image/png;base64,...")
        return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"image {_name(uri)} cannot be decoded ({error})") from error


class _Download:
    """One address; its file is fetched once, whatever number of threads asks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._content: bytes | None = None

    def content(self) -> bytes:
        with self._lock:
            if self._content is None:
                self._content = self._fetched()
            return self._content

    def _fetched(self) -> bytes:
        content = bytearray()
        try:
            with httpx.stream("GET", self._url, timeout=TIMEOUT_S, follow_redirects=True) as reply:
                reply.raise_for_status()
                for part in reply.iter_bytes():
                    content += part
                    if len(content) > MAX_BYTES:
                        raise ValueError(
                            f"image {self._url} is larger than {MAX_BYTES} "
                            "bytes: store a smaller one"
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ValueError(
                f"image {self._url} cannot be fetched ({error or type(error).__name__}): mend "
                "the address, or store the image's bytes in the parquet"
            ) from error
        return bytes(content)


_downloads_lock = threading.Lock()


@lru_cache(maxsize=_KEPT)
def _cached_download(url: str) -> _Download:
    return _Download(url)


def _download_of(url: str) -> _Download:
    with _downloads_lock:
        return _cached_download(url)


def _name(source: Any) -> str:
    return "(bytes in the parquet)" if source is None else str(source)[:100]
