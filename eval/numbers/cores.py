"""Work on both cores where it is large enough to be worth a second process."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

WORTH_IT = 200_000
"""Records from which the seconds that new processes take to import everything are well spent."""
_MOST = 4  # processes: each holds a few hundred MB

_Work = TypeVar("_Work")
_Result = TypeVar("_Result")
Run = Callable[[Callable[[_Work], _Result], Iterable[_Work]], Iterator[_Result]]
"""Like `map`: results in the order of the work."""


@contextmanager
def on_both_cores(n_records: int) -> Iterator[Run]:
    """`map` over processes, of which there are as many as cores; the plain `map` for little work.

    Processes are spawned: a fork would count, and in time copy, the records that this one holds.
    """
    cores = min(_MOST, len(os.sched_getaffinity(0)))
    if n_records < WORTH_IT or cores < 2:
        yield map
        return
    # One thread each: with as many processes as cores, more threads only wait for each other.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
            yield pool.map
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
