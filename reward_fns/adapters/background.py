"""Asynchronous work from synchronous code: one event loop in a thread of the process.

A loop for each call (`asyncio.run`) would open the judge's connections anew each time.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""Process id -> its loop: a forked process inherits the object, but not the thread that runs it."""


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="reward", daemon=True).start()
        return loop


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; may be called from any thread but the loop's own."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()
