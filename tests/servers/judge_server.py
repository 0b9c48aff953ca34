"""A real HTTP server that speaks the OpenAI chat protocol and plays an exact judge,
with latency and faults on demand.

It reads a prompt of `reward_fns/prompts` as a machine would: the material between the lines of
dashes is one JSON value a line. The reference is the oracle's ground truth
(`{"task": ..., "facts": [...]}`), or one plain fact. Replies go through the oracle,
so that a wrong label can only come from the client.

Faults are drawn for each request from a seeded generator. A request's key is what the client keys
its cache by: its prompt and image; `answers[key]` counts the verdicts that were sent for it,
the calls that a fault ended left out.

    python tests/servers/judge_server.py PORT_FILE [--latency 0.2] [--faults issue]

runs until it is killed.
"""

import argparse
import asyncio
import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reward_fns.claims import normalise
from reward_fns.expert import AnswerRequest
from reward_fns.expert.oracle import OracleExpert

_MATERIAL = re.compile(r"\n-{8}\n(.*)\n-{8}\n", re.DOTALL)
_LINE = re.compile(r"(.+?): (null|\".*\"|\[.*\])")

ISSUE_FAULTS = {
    "429": 0.05,
    "429 retry-after": 0.05,
    "500": 0.05,
    "timeout": 0.05,
    "drop": 0.03,
    "malformed": 0.05,
    "wrong shape": 0.02,
}
"""The mix that the expert has to bear: shares of all requests."""


def material(prompt: str) -> dict[str, object]:
    """What a prompt gives to judge: first word of each line's label,
    lower case -> its JSON value.
    """
    found = _MATERIAL.search(prompt)
    assert found, prompt
    values = {}
    for line in found[1].split("\n"):
        label, value = _LINE.fullmatch(line).groups()
        values[label.split()[0].lower()] = json.loads(value)
    return values


def exact_reply(prompt: str) -> dict[str, object]:
    """The verdict of an exact judge who knows only what the prompt says."""
    given = material(prompt)
    reference = given.get("reference") or ""
    truth = (
        reference if reference.startswith("{") else json.dumps({"task": "QA", "facts": [reference]})
    )
    facts = set(map(normalise, json.loads(truth)["facts"]))
    if "claim" in given:
        return {"label": int(normalise(given["claim"]) in facts)}
    full = given["full"]
    stated = tuple(re.sub(r"^\d+\. ", "", line) for line in full.splitlines())
    claims = tuple(given.get("claims", stated))
    whole = asyncio_free(OracleExpert().ask(AnswerRequest("?", "QA", claims, full, truth)))
    if "claims" not in given:
        return {"overall": whole.overall if whole.overall % 1 else int(whole.overall)}
    labels = [int(normalise(claim) in facts) for claim in claims]
    return {"claims": labels, "overall": whole.overall if whole.overall % 1 else int(whole.overall)}


def asyncio_free(coroutine):
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


@dataclass
class JudgeServer:
    """Start it with `with`; `url` is then its address.

    Attributes:
        latency: seconds before every reply.
        faults: name -> share of the requests; what is left of 1 is answered.
        hang: seconds that a request with the fault "timeout" is held.
        reply: prompt -> what is sent as JSON; a string is sent as it is.
        message: what the reply's message holds besides, or in place of, role and content.
        finish: its finish_reason.
        refuses: parameter -> why a request that holds it is refused with 400;
            "temperature" only if it is not 1.
        code: the error's code then.
    """

    latency: float = 0.0
    faults: dict[str, float] = field(default_factory=dict)
    hang: float = 5.0
    retry_after: str = "0"
    seed: int = 0
    reply: object = staticmethod(exact_reply)
    message: dict = field(default_factory=dict)
    finish: str = "stop"
    refuses: dict[str, str] = field(default_factory=dict)
    code: str | None = None
    model: str = "judge-2026"
    port: int = 0

    def __post_init__(self):
        self.calls = Counter()  # outcome -> requests
        self.answers = Counter()  # key -> verdicts sent
        self.verdicts = {}  # key -> when each request for it came and its verdict had been sent
        self.together = Counter()  # key -> requests of it in flight
        self.doubled = 0  # requests that came while the same one was in flight
        self.connections = 0
        self.headers = []
        self.bodies = []
        self.keep_bodies = False
        self._random = random.Random(self.seed)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def total(self):
        return self.calls.total()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.serve(self._started.set))

    async def serve(self, started):
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=2048)
        self.port = server.sockets[0].getsockname()[1]
        started()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(
                    line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if line
                )
                headers = {name.lower(): value for name, value in headers.items()}
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                if not await self._answer(headers, body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the server stops
        finally:
            writer.close()

    def _fault(self):
        draw = self._random.random()
        for name, share in self.faults.items():
            if draw < share:
                return name
            draw -= share
        return None

    async def _answer(self, headers, body, writer):
        """Answer one request; False ends the connection."""
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[-1]["text"]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        self.headers = [*self.headers[-9:], headers]
        if self.keep_bodies:
            self.bodies.append(body)
        self.doubled += self.together[key] > 0
        self.together[key] += 1
        came = time.monotonic()
        try:
            await asyncio.sleep(self.latency)
            for name, why in self.refuses.items():
                if name in body and not (name == "temperature" and body[name] == 1):
                    self.calls["refused"] += 1
                    error = {"message": why, "param": name, "code": self.code}
                    return await self._send(writer, 400, json.dumps({"error": error}))
            fault = self._fault()
            self.calls[fault or "answered"] += 1
            if fault == "timeout":
                await asyncio.sleep(self.hang)
            if fault in ("timeout", "drop"):
                return False
            if fault in ("429", "429 retry-after"):
                extra = f"Retry-After: {self.retry_after}\r\n" if fault == "429 retry-after" else ""
                error = {
                    "error": {
                        "message": f"slow down, {headers.get('authorization')}",
                        "code": "rate_limit",
                    }
                }
                return await self._send(writer, 429, json.dumps(error), extra)
            if fault is not None and fault.isdigit():
                said = f"no luck for {headers.get('authorization')}: {prompt}"
                return await self._send(
                    writer, int(fault), json.dumps({"error": {"message": said}})
                )
            if fault == "malformed":
                return await self._send(writer, 200, '{"id": "1", "choices": [{"mess')
            if fault == "wrong shape":
                return await self._send(
                    writer, 200, self._completion('{"claims": "all", "total": true}', prompt)
                )
            reply = self.reply(prompt)
            self.answers[key] += 1
            text = reply if isinstance(reply, str) else json.dumps(reply)
            try:
                return await self._send(writer, 200, self._completion(text, prompt))
            finally:  # it is paid for, also where nobody waits for it any more
                self.verdicts.setdefault(key, []).append((came, time.monotonic()))
        finally:
            self.together[key] -= 1

    def _completion(self, text, prompt):
        message = {"role": "assistant", "content": text} | self.message
        return json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": self.model,
                "choices": [{"index": 0, "finish_reason": self.finish, "message": message}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            }
        )

    async def _send(self, writer, status, text, extra=""):
        data = text.encode()
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n{extra}\r\n"
        )
        writer.write(head.encode() + data)
        await writer.drain()
        return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port_file", type=Path)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--faults", choices=["none", "issue"], default="none")
    parser.add_argument("--hang", type=float, default=5.0)
    options = parser.parse_args()
    server = JudgeServer(
        options.latency, ISSUE_FAULTS if options.faults == "issue" else {}, options.hang
    )

    def started():
        partial = options.port_file.with_suffix(".partial")
        partial.write_text(str(server.port))
        partial.rename(options.port_file)

    asyncio.run(server.serve(started))


if __name__ == "__main__":
    main()
