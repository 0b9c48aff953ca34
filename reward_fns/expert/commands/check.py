"""Tries an endpoint: what of what the expert needs works there, how fast, and which model answers.

text         a reply to a plain question
image        a reply to a question about an image (a red square)
json schema  a verdict on two claims about that image, held to a JSON schema; says whether it is the right one
no schema    the same verdict, asked for in words only (json_schema: false)
logprobs     log-probabilities of a reply; the evaluation's protocols need them, the expert does not
"""

import statistics
import struct
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from reward_fns.expert.errors import ExpertError
from reward_fns.expert.prompting.forms import prompt_text, read_reply, reply_schema
from reward_fns.expert.requests import AnswerRequest, Source
from reward_fns.expert.serving.transport import Reply, Transport

REPEATS = 3
"""Plain questions whose median time is the latency."""


def red_square(side: int = 64) -> bytes:
    """A red image as PNG, without an imaging library."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff\x00\x00" * side) * side
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _question() -> AnswerRequest:
    claims = ("The square is red.", "The square is blue.")
    return AnswerRequest(
        "What colour is the square?", "QA", claims, "\n".join(claims), "red", red_square()
    )


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it works, how long it took, and what there is to say about it."""

    name: str
    works: bool
    seconds: float
    note: str


async def _tried(name: str, attempt: Callable[[], Awaitable[str]]) -> Finding:
    start = time.perf_counter()
    try:
        note, works = await attempt(), True
    except ExpertError as error:
        note, works = str(error), False
    return Finding(name, works, time.perf_counter() - start, note)


async def check(transport: Transport) -> list[Finding]:
    """Try everything; each thing once, plain questions `REPEATS` times. Never raises for what the server does."""
    replies: list[Reply] = []
    seconds: list[float] = []

    async def text() -> str:
        for _ in range(REPEATS):
            start = time.perf_counter()
            replies.append(await transport.send("Reply with the one word OK.", None, None))
            seconds.append(time.perf_counter() - start)
        return f"model {replies[0].model}, median {statistics.median(seconds):.2f} s of {REPEATS}"

    async def image() -> str:
        reply = await transport.send(
            "Which colour is this? Reply with one word.", red_square(), None
        )
        return f"it says {(reply.content or '')[:40]!r}"

    async def verdict(schema: dict[str, Any] | None) -> str:
        request = _question()
        reply = await transport.send(prompt_text(request), request.image, schema)
        read = read_reply(request, reply.content, Source(reply.model))
        right = read.claim_labels == (1, 0)
        return (
            "readable, and right"
            if right
            else f"readable, but wrong: {read.claim_labels} for (1, 0)"
        )

    async def logprobs() -> str:
        asking = Transport(
            transport.model,
            transport.base_url,
            transport.api_key_env,
            transport.timeout,
            {**transport.parameters, "logprobs": True, "top_logprobs": 1},
        )
        reply = await asking.send("Reply with the one word OK.", None, None)
        if not reply.logprobs:
            raise ExpertError("the reply holds none")
        return ""

    return [
        await _tried("text", text),
        await _tried("image", image),
        await _tried("json schema", lambda: verdict(reply_schema(_question()))),
        await _tried("no schema", lambda: verdict(None)),
        await _tried("logprobs", logprobs),
    ]
