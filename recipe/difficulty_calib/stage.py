"""Run one stage of an entry script: its output in a log, a limit of time,
one interrupt that ends it.

    python -m recipe.difficulty_calib.stage --limit 3600 --log run/logs/rl.log --steps \\
        -- COMMAND ...

The command gets a session of its own, so a Ctrl-C at the terminal reaches this process alone, which
then ends the command and all that it started (Ray's and vLLM's processes too): first SIGINT to the
command, so that it can shut down what it holds; after `PATIENCE_S` SIGTERM to every process that is
left; then SIGKILL. The same happens at SIGTERM, at SIGHUP, at the limit, and when the script that
started this process dies. What is left in /tmp and /dev/shm is then removed (`leftovers`).

Exit code: the command's; 124 at the limit; 128 + signal when it was interrupted.
"""

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from recipe.difficulty_calib import leftovers
from recipe.difficulty_calib.progress import StepView

AT_LIMIT = 124
"""Exit code of a command that ran past its limit, as that of coreutils' timeout."""
PATIENCE_S = 15.0
"""Seconds that the command has to shut down by itself. With the two below: all is over in 30 s."""
_TERMINATE_S = 8.0
_KILL_S = 4.0
_PR_SET_PDEATHSIG = 1


def _end_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent dies. Linux; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _before_the_command() -> None:
    # A shell starts what runs in the background with SIGINT ignored, which is inherited: the
    # command could not be asked to save and end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _end_with_parent(signal.SIGTERM)


def _signal_all(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


class Stage:
    """One command while it runs; made before it is started, so that no
    signal finds it half made.
    """

    def __init__(self, command: Sequence[str], limit_s: float, log: Path, steps: bool) -> None:
        self._limit_s = limit_s
        self._view = StepView() if steps else None
        self._stopped_by: int | None = None
        self._log = log.open("ab")
        self._command = command

    def stop(self, number: int, _frame: FrameType | None = None) -> None:
        """Signal handler: the loop in `run` sees it."""
        self._stopped_by = number

    def run(self) -> int:
        """Start the command and wait for it; its exit code, see the module docstring."""
        if self._stopped_by is not None:
            return 128 + self._stopped_by
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # No thread runs yet, so this is safe between fork and exec.
            preexec_fn=_before_the_command,
        )
        assert self._process.stdout is not None
        reader = threading.Thread(target=self._copy, args=(self._process.stdout,), daemon=True)
        reader.start()
        deadline = time.monotonic() + self._limit_s
        while self._process.poll() is None and self._stopped_by is None:
            if time.monotonic() > deadline:
                self._end()
                return AT_LIMIT
            time.sleep(0.1)
        if self._stopped_by is not None:
            self._end()
            return 128 + self._stopped_by
        # A daemon that the command left behind may hold the pipe open for ever.
        reader.join(timeout=10)
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def _end(self) -> None:
        # Listed before anything is signalled: a child whose parent has died is found no more.
        command = psutil.Process(self._process.pid)
        started = [command]
        with contextlib.suppress(psutil.NoSuchProcess):
            started += command.children(recursive=True)
        _signal_all([command], signal.SIGINT)
        _, left = psutil.wait_procs(started, timeout=PATIENCE_S)
        for number, patience_s in ((signal.SIGTERM, _TERMINATE_S), (signal.SIGKILL, _KILL_S)):
            _signal_all(left, number)
            _, left = psutil.wait_procs(left, timeout=patience_s)

    def _copy(self, output: IO[bytes]) -> None:
        """Output to log and screen as it comes: a progress bar redraws
        itself without a new line.
        """
        rest = b""
        while chunk := os.read(output.fileno(), 65536):
            self._log.write(chunk)
            self._log.flush()
            if self._view is None:
                sys.stdout.buffer.write(chunk)
                sys.stdout.flush()
                continue
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                shown = self._view.line(line.decode(errors="replace"))
                if shown is not None:
                    print(shown, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m recipe.difficulty_calib.stage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--limit", type=float, required=True, help="seconds")
    parser.add_argument("--log", type=Path, required=True, help="all output is appended to it")
    parser.add_argument("--steps", action="store_true", help="show a line a training step only")
    parser.add_argument("--parent", type=int, help="the script's process: it may be dead by now")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    options.parent = options.parent or os.getppid()
    with leftovers.removed():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    stage = Stage(options.command, options.limit, options.log, options.steps)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup a hangup is ignored, and stays so.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stage.stop)
    _end_with_parent(signal.SIGTERM)
    if os.getppid() != options.parent:  # it died before the kernel knew that we wanted to be told
        stage.stop(signal.SIGTERM)
    return stage.run()


if __name__ == "__main__":
    sys.exit(main())
