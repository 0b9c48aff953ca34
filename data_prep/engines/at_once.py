"""Several calls that wait for a server, at the same time, in threads that an
interrupt leaves behind.

`concurrent.futures` waits for its threads where a program ends: after a Ctrl-C for as long as a
server that hangs is given. These are daemons, which end with the process.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

_T = TypeVar("_T")


def at_once(asks: Sequence[Callable[[], _T]], concurrency: int) -> list[_T]:
    """The result of each, in order; `concurrency` at a time, >= 1.

    Raises:
        BaseException: that of the first that raises, at once; those not begun are never begun.
    """
    work = _Work(asks)
    for _ in range(min(concurrency, len(asks))):
        threading.Thread(target=work.do, daemon=True).start()
    return work.results()


class _Work(Generic[_T]):
    def __init__(self, asks: Sequence[Callable[[], _T]]) -> None:
        self._asks = asks
        self._left: Iterator[int] = iter(range(len(asks)))
        self._results: dict[int, _T] = {}
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        if not asks:
            self._ended.set()

    def do(self) -> None:
        """Do what is left, one after the other: a thread's part."""
        while (number := self._next()) is not None:
            try:
                result = self._asks[number]()
            except BaseException as error:
                self._error = self._error or error
                self._ended.set()
                return
            with self._lock:
                self._results[number] = result
                if len(self._results) == len(self._asks):
                    self._ended.set()

    def results(self) -> list[_T]:
        """Wait for all of them; an interrupt ends the waiting."""
        try:
            self._ended.wait()
        finally:
            # Also behind an interrupt: nothing more is begun.
            self._ended.set()
        if self._error is not None:
            raise self._error
        return [self._results[number] for number in range(len(self._asks))]

    def _next(self) -> int | None:
        with self._lock:
            return None if self._ended.is_set() else next(self._left, None)
