"""An HTTP client that reads no more than a reply may hold, whatever a server sends.

Gzip makes a thousand bytes of one, so a reply is counted as it is unpacked. What could be unpacked
twice, or by more than that at a time (brotli, zstd), is not asked for and not read.
"""

from typing import Any

import openai

LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of a reply; a verdict has some hundred, a long error page some ten thousand."""
_ENCODINGS = ("", "identity", "gzip", "deflate")
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")


class UnreadableBodyError(Exception):
    """A reply that is not read to its end."""


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """The client of the `openai` package, with an end to every reply."""

    def __init__(self) -> None:
        # The client reads the body of a redirect itself, without an end, and would
        # send the question elsewhere.
        super().__init__(follow_redirects=False, headers={"Accept-Encoding": "gzip, deflate"})

    # Of httpx or of its successor httpx2, as this `openai` has it.
    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """The whole response, also where a stream is asked for.

        Raises:
            UnreadableBodyError: its body is larger than `LARGEST_BODY`, or packed in another way.
            Exception: what the client itself raises.
        """
        response: Any = await super().send(request, stream=True, **options)
        try:
            body = await _body(response)
        finally:
            await response.aclose()
        headers = [item for item in response.headers.multi_items() if item[0] not in _OF_THE_WIRE]
        return type(response)(
            response.status_code,
            headers=headers,
            content=body,
            request=request,
            extensions=response.extensions,
        )


async def _body(response: Any) -> bytes:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise UnreadableBodyError("a body packed in a way that was not asked for")
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > LARGEST_BODY:
            raise UnreadableBodyError(f"a body of more than {LARGEST_BODY // 2**20} MiB")
    return bytes(body)
