"""Starts and stops vLLM's own OpenAI server in a process group of its own, on the CPU."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

START_LIMIT = 300  # seconds; some 40 on two free cores


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class VllmServer:
    """Serves the model at `path` under the name "pocket" while the context is open;
    its output goes to `log`.
    """

    model = "pocket"

    def __init__(self, path: Path, log: Path):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._log = log
        self._command = [
            sys.executable,
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            str(path),
        ]
        self._command += [
            "--served-model-name",
            self.model,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self._command += ["--dtype", "float32", "--enforce-eager", "--max-logprobs", "20"]
        # A model of 1.7 million parameters, held to a JSON schema,
        # fills its context with the blanks that JSON allows.
        self._command += [
            "--structured-outputs-config",
            '{"backend": "xgrammar", "disable_any_whitespace": true}',
        ]
        # vLLM 0.28 dies on a seeded request whose prefill is split.
        self._command += ["--no-enable-chunked-prefill", "--limit-mm-per-prompt", '{"image": 1}']

    def __enter__(self):
        environment = os.environ | {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
        }
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + START_LIMIT
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"vLLM did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.5)
        return self

    def _healthy(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as reply:
                return reply.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def __exit__(self, *_):
        """Stop the server and its engine process, which is in the same group."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sent)
            except ProcessLookupError:
                break
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                continue
        self._process.wait(20)
