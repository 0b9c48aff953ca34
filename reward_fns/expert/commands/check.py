"""Tries an endpoint: what of what the expert needs works there, how fast, and which model answers.

text           a reply to a plain question; if it is refused, without
               `temperature: 0`, which reasoning models refuse, and with the limit of
               the reply's tokens under its other name
max_..tokens   a limit of the reply's tokens, by either of its names
image          a reply to a question about an image (a red square)
json schema    a verdict on two claims about that image, held to a JSON schema; says
               whether it is the right one
json object    the same verdict, held to any JSON object (`response_format: {type: json_object}`)
no schema      the same verdict, asked for in words only (json_schema: false)
logprobs       log-probabilities of a reply; the evaluation's protocols need
               them, the expert does not

From that it puts together the options that work.
"""

import statistics
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from reward_fns.expert.errors import ExpertError
from reward_fns.expert.prompting.forms import prompt_text, read_reply, reply_schema
from reward_fns.expert.requests import AnswerRequest, Source
from reward_fns.expert.serving.completions import Reply
from reward_fns.expert.serving.images import image_urls
from reward_fns.expert.serving.transport import Transport

REPEATS = 3
"""Plain questions whose median time is the latency."""
TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")
JSON_OBJECT = {"response_format": {"type": "json_object"}}


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
        "What colour is the square?", "QA", claims, "\n".join(claims), "red", (red_square(),)
    )


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it works, how long it took, what there is to say,
    and the error's reason.
    """

    name: str
    works: bool
    seconds: float
    note: str
    reason: str = ""


async def _tried(name: str, attempt: Callable[[], Awaitable[str]]) -> Finding:
    start = time.perf_counter()
    try:
        note, works, reason = await attempt(), True, ""
    except ExpertError as error:
        note, works, reason = str(error), False, error.reason
    return Finding(name, works, time.perf_counter() - start, note, reason)


def _changes(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What servers that refuse a request ask to be changed in its parameters, the
    smallest change first.
    """
    temperature = {"temperature": None} if "temperature" in parameters else {}
    renamed: dict[str, Any] = {}
    for name, other in (TOKEN_LIMITS, TOKEN_LIMITS[::-1]):
        if name in parameters:
            renamed = {name: None, other: parameters[name]}
    changes = [temperature, renamed] + ([temperature | renamed] if temperature and renamed else [])
    return [change for change in changes if change]


async def check(transport: Transport) -> tuple[list[Finding], dict[str, Any]]:
    """Try everything; each thing once, plain questions `REPEATS` times. Never raises
    for what the server does.

    Returns:
        What was found, and the expert's options that work there as far as
            they are not the defaults:
        ``json_schema`` and ``parameters``.
    """
    parameters: dict[str, Any] = {}

    def asking(**more: Any) -> Transport:
        return transport.with_parameters(**parameters | more)

    async def text() -> str:
        replies: list[Reply] = []
        seconds: list[float] = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            replies.append(await asking().send("Reply with the one word OK.", (), None))
            seconds.append(time.perf_counter() - start)
        return f"model {replies[0].model}, median {statistics.median(seconds):.2f} s of {REPEATS}"

    async def limit(name: str) -> str:
        only = dict.fromkeys(TOKEN_LIMITS) | {name: 64}
        await asking(**only).send("Reply with the one word OK.", (), None)
        return f"the limit of a reply's tokens is called {name}"

    async def image() -> str:
        question = "Which colour is this? Reply with one word."
        reply = await asking().send(question, image_urls((red_square(),)), None)
        return f"it says {reply.text[:40]!r}"

    async def verdict(schema: dict[str, Any] | None, **more: Any) -> str:
        request = _question()
        pictures = image_urls(request.images)
        reply = await asking(**more).send(prompt_text(request), pictures, schema)
        try:
            read = read_reply(request, reply.text, Source(reply.model))
        except ExpertError as error:
            raise reply.ended_early or error from None
        right = read.claim_labels == (1, 0)
        return (
            "readable, and right"
            if right
            else f"readable, but wrong: {read.claim_labels} for (1, 0)"
        )

    async def logprobs() -> str:
        reply = await asking(logprobs=True, top_logprobs=1).send(
            "Reply with the one word OK.", (), None
        )
        if not reply.logprobs:
            raise ExpertError("the reply holds none, which the expert does not need")
        return ""

    found = [await _tried("text", text)]
    if found[0].reason == "refused":
        for change in _changes(transport.parameters):
            parameters = change
            tried = await _tried("text", text)
            if tried.works:
                refused = [Finding("temperature", False, found[0].seconds, found[0].note)]
                found = [*(refused if "temperature" in change else []), tried]
                break
        else:
            parameters = {}
    found += [await _tried(name, partial(limit, name)) for name in TOKEN_LIMITS]
    found.append(await _tried("image", image))
    schema = await _tried("json schema", lambda: verdict(reply_schema(_question())))
    found += [schema, await _tried("json object", lambda: verdict(None, **JSON_OBJECT))]
    found.append(await _tried("no schema", lambda: verdict(None)))
    found.append(await _tried("logprobs", logprobs))
    options: dict[str, Any] = {} if schema.works else {"json_schema": False}
    if not schema.works and found[-3].works:
        parameters |= JSON_OBJECT
    return found, options | ({"parameters": parameters} if parameters else {})
