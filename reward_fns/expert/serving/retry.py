"""How long and how often a request is tried: exponential backoff with full jitter,
`Retry-After`, a deadline.

Attempt k (from 0) that fails is followed by a wait drawn uniformly from 0 to min(longest_wait,
backoff * 2^k) seconds; where the server names a time (`Retry-After`), by that time and a jitter of
at most `backoff` on top. A wait that would end after the deadline is not begun, and an attempt
that reaches it is broken off: the request has then failed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from reward_fns.expert.errors import TransientError

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """Limits of one request.

    Attributes:
        max_retries: attempts after the first.
        backoff: seconds; upper end of the first wait.
        longest_wait: seconds; upper end of any wait that the server did not ask for.
        deadline: seconds from the first attempt on, all attempts and waits included.

    Raises:
        ValueError: a negative number, or a deadline of 0.
    """

    max_retries: int = 6
    backoff: float = 0.5
    longest_wait: float = 30.0
    deadline: float = 300.0

    def __post_init__(self) -> None:
        if (
            self.max_retries < 0
            or not self.backoff >= 0
            or not self.longest_wait >= 0
            or not self.deadline > 0
        ):
            raise ValueError(
                f"retries need max_retries, backoff, longest_wait >= 0 and deadline > 0, got {self}"
            )


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, given as a number or an HTTP date;
    None for any other text.

    >>> now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    >>> retry_after_seconds("Wed, 21 Oct 2026 07:28:30 GMT", now)
    30.0
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except (
            ValueError,
            TypeError,
            OverflowError,
            IndexError,
        ):  # dates of the year 99999, and worse
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None


async def persist(
    attempt: Callable[[], Awaitable[T]],
    patience: Patience,
    retried: Callable[[TransientError], None],
) -> T:
    """The result of the first attempt that does not raise TransientError.

    Args:
        retried: told of each failure that is followed by another attempt.

    Raises:
        TransientError: that of the last attempt; reason "deadline" if it was broken off.
        Exception: whatever else an attempt raises, at once.
    """
    # A tenth of a second's import, which the oracle does not need.
    from tenacity import (
        AsyncRetrying,
        RetryCallState,
        retry_if_exception_type,
        stop_after_attempt,
        stop_before_delay,
    )

    def failure(state: RetryCallState) -> TransientError:
        error = state.outcome.exception() if state.outcome is not None else None
        assert isinstance(error, TransientError)
        return error

    def wait(state: RetryCallState) -> float:
        asked = failure(state).retry_after
        if asked is not None:
            return asked + random.uniform(0, patience.backoff)
        return random.uniform(
            0, min(patience.longest_wait, patience.backoff * 2.0 ** (state.attempt_number - 1))
        )

    end = asyncio.get_running_loop().time() + patience.deadline

    async def in_time() -> T:
        try:
            async with asyncio.timeout_at(end):
                return await attempt()
        except TimeoutError:
            raise TransientError(
                f"no verdict within the deadline of {patience.deadline:g} s", "deadline"
            ) from None

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait,
        stop=stop_after_attempt(patience.max_retries + 1) | stop_before_delay(patience.deadline),
        before_sleep=lambda state: retried(failure(state)),
        reraise=True,
    )
    return await retrying(in_time)
