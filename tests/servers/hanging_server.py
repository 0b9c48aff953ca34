"""A server of the OpenAI API that takes a question and never answers it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HangingServer(ThreadingHTTPServer):
    """A context: serves while it is open.

    Attributes:
        url: of its API, ending in /v1.
        asked: set once a question has come.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked, self.ended = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self) -> "HangingServer":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.shutdown()
        super().__exit__(*error)


class _Handler(BaseHTTPRequestHandler):
    server: HangingServer

    def do_GET(self) -> None:
        self.send_error(404)  # it lists no models

    def do_POST(self) -> None:
        self.server.asked.set()
        self.server.ended.wait(600)

    def log_message(self, *_: Any) -> None:
        pass
