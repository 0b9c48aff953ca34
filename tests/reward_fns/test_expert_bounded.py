"""A reply has an end: in bytes, however it is packed, and in time, however slowly it drips."""

import asyncio
import gzip
import threading
import tracemalloc

import pytest

from reward_fns.expert import ExpertError, OverallRequest, make_expert, stats_of

REQUEST = OverallRequest("q", "QA", "a", "a")
PLAIN = (
    b'{"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": ['
    b'{"index": 0, "finish_reason": "stop", '
    b'"message": {"role": "assistant", "content": "{\\"overall\\": 1}"}}]}'
)


class RawServer:
    """Sends the same bytes to every request, in parts with a pause between them."""

    def __init__(self, body, encoding="", part=65536, pause=0.0, status="200 OK"):
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n"
        head += f"Content-Encoding: {encoding}\r\n" if encoding else ""
        self.sent = (head + "\r\n").encode() + body
        self.part, self.pause = part, pause

    def __enter__(self):
        self.loop, started = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        assert started.wait(30)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        serving = asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.server = self.loop.run_until_complete(serving)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        started.set()
        self.loop.run_forever()
        # What still drips ends here, and its connection with it.
        for task in (tasks := asyncio.all_tasks(self.loop)):
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.server.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def _answer(self, reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            for start in range(0, len(self.sent), self.part):
                writer.write(self.sent[start : start + self.part])
                await writer.drain()
                await asyncio.sleep(self.pause)
        except ConnectionError:
            pass  # the client has had enough
        finally:
            writer.close()


def asked(server, **options):
    config = {"kind": "openai", "model": "m", "base_url": server.url, "max_retries": 0}
    expert = make_expert(config | options)
    try:
        return asyncio.run(expert.ask(REQUEST)).overall
    except ExpertError as error:
        return f"{error.reason}: {error}"
    finally:
        assert stats_of(expert).calls == 1


def test_a_gzip_bomb_is_not_unpacked():
    bomb = gzip.compress(bytes(300_000_000), compresslevel=9)
    with RawServer(bomb, "gzip") as server:
        asked(server)  # the imports
        tracemalloc.start()
        outcome = asked(server)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert outcome.startswith("malformed: ") and "a body of more than 16 MiB" in outcome
    # The limit, and what the last part makes of 64 KiB, a few times over.
    assert most < 250_000_000


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_what_is_packed_in_another_way_is_not_read(encoding):
    with RawServer(PLAIN, encoding) as server:
        assert "packed in a way that was not asked for" in asked(server)


@pytest.mark.parametrize(("body", "encoding"), [(PLAIN, ""), (gzip.compress(PLAIN), "gzip")])
def test_a_reply_is_read_as_before(body, encoding):
    with RawServer(body, encoding) as server:
        assert asked(server) == 1.0


def test_a_redirect_is_neither_read_nor_followed():
    """The client would read its body without an end, and send the question to wherever it says."""
    bomb = gzip.compress(bytes(300_000_000), compresslevel=9)
    with RawServer(bomb, "gzip", status="307 Moved\r\nLocation: http://127.0.0.1:9/v1") as server:
        outcome = asked(server)
    assert outcome.startswith(("malformed: ", "model: ")) and "127.0.0.1:9" not in outcome
    with RawServer(b"{}", status="307 Moved\r\nLocation: http://127.0.0.1:9/v1") as server:
        assert "redirects (307), which is not followed: mend base_url" in asked(server)


def test_a_reply_that_drips_has_the_time_of_one_attempt():
    # Each part comes in time; all of them take 30 s.
    with RawServer(PLAIN + b" " * 300, part=1, pause=0.05) as server:
        outcome = asked(server, timeout=0.5, deadline=60)
    assert outcome.startswith("timeout: ") and "did not reply within 0.5 s" in outcome
