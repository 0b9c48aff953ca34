"""Limits of what is sent: requests and tokens a minute, a budget in calls and tokens.

Where the verdicts have a cache directory, rates and budget are kept in it: all processes that use
the directory share them, and the budget covers everything that was ever paid into it, over
restarts. Without one, each process has its own.

Rates are paced, not counted in windows (the generic cell rate algorithm): with L a minute, one
more is let through every 60/L seconds, after an idle time up to a second's worth at once. A
request's tokens are not known before its reply: it reserves what the last ones took, and what it
took in truth is settled afterwards. The budget is looked at before each call, so calls already on
their way may exceed a budget in tokens; one in calls is exact. Moments are those of this boot's
monotonic clock, which nobody can set.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from reward_fns.errors import UserError
from reward_fns.expert.errors import BudgetExhausted
from reward_fns.expert.keeping.leases import boot
from reward_fns.expert.keeping.store import Store

FIRST_ESTIMATE = 1000.0
"""Tokens that a request reserves before any reply has shown what one takes."""


class _State:
    """Named numbers, in memory or in a directory that processes share; each change is one step."""

    def __init__(self, directory: Path | None) -> None:
        self._numbers: dict[str, float] = {}
        self._store = None if directory is None else Store(directory)

    def get(self, name: str) -> float:
        """The number, 0 if it was never set."""
        if self._store is None:
            return self._numbers.get(name, 0.0)
        return self._number(name, self._store.get(name))

    def change(self, name: str, new: Callable[[float], float]) -> float:
        """Replace a number by new(number); the old one comes back. What `new`
        raises leaves it as it is.
        """
        if self._store is None:
            old = self.get(name)
            self._numbers[name] = new(old)
            return old
        text = self._store.update(name, lambda text: json.dumps(new(self._number(name, text))))
        return self._number(name, text)

    def _number(self, name: str, text: str | None) -> float:
        try:
            number = 0.0 if text is None else float(json.loads(text))
        except (ValueError, TypeError, OverflowError, RecursionError):
            number = math.nan
        if not math.isfinite(number):
            assert self._store is not None, "only what is kept can be broken"
            raise UserError(
                f"{self._store.directory} holds no number as {name!r}: remove that directory, "
                "which forgets what is spent of the expert's budget"
            )
        return number


class Limits:
    """Admits calls.

    Args:
        requests_per_minute, tokens_per_minute: None for no limit.
        max_calls, max_tokens: the budget; None for no limit.
        directory: where rates and budget are kept; None for this process's memory.

    Raises:
        ValueError: a limit not above 0.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        directory: Path | None = None,
    ) -> None:
        named = {
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "max_calls": max_calls,
            "max_tokens": max_tokens,
        }
        for name, value in named.items():
            if value is not None and not value > 0:
                raise ValueError(f"the expert's {name} must be above 0, got {value}")
        self._rates = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        self._budget = {"calls": max_calls, "tokens": max_tokens}
        self._limited = any(
            limit is not None for limit in [*self._rates.values(), *self._budget.values()]
        )
        self._state = _State(directory if self._limited else None)
        self._estimate = FIRST_ESTIMATE

    async def admit(self) -> float:
        """Wait until one more call may be sent; the tokens that were reserved for it come back.

        Raises:
            BudgetExhausted: nothing is left.
        """
        if not self._limited:
            return 0.0
        tokens = self._budget["tokens"]
        if tokens is not None and self._state.get("spent tokens") >= tokens:
            raise self._exhausted("tokens", tokens)
        if (calls := self._budget["calls"]) is not None:
            self._state.change("spent calls", lambda spent: self._one_more(spent, calls))
        estimate = self._estimate
        wait = max(self._reserve("requests", 1.0), self._reserve("tokens", estimate))
        if wait > 0:
            await asyncio.sleep(wait)
        return estimate

    def settle(self, reserved: float, tokens: int) -> None:
        """What a call took in truth; `reserved` is what `admit` gave. 0 tokens
        for one without a reply.
        """
        if not self._limited:
            return
        if self._budget["tokens"] is not None:
            self._state.change("spent tokens", lambda spent: spent + tokens)
        if (rate := self._rates["tokens"]) is not None:
            self._state.change(
                self._next("tokens"), lambda moment: moment + (tokens - reserved) * 60 / rate
            )
        if tokens:
            self._estimate += 0.2 * (tokens - self._estimate)

    def _reserve(self, name: str, amount: float) -> float:
        """Seconds to wait before `amount` more of a rate may be used, which is thereby reserved."""
        rate = self._rates[name]
        if rate is None:
            return 0.0
        now = time.monotonic()
        start = [now]

        def later(moment: float) -> float:
            start[0] = max(moment, now - 1.0)
            return start[0] + amount * 60 / rate

        self._state.change(self._next(name), later)
        return max(0.0, start[0] - now)

    @staticmethod
    def _next(name: str) -> str:
        """Where a rate's next moment stands: moments of another boot's clock mean nothing now."""
        return f"next {name} since boot {boot()}"

    def _one_more(self, spent: float, limit: float) -> float:
        if spent >= limit:
            raise self._exhausted("calls", limit)
        return spent + 1

    @staticmethod
    def _exhausted(what: str, limit: float) -> BudgetExhausted:
        return BudgetExhausted(
            f"the expert's budget of {limit:g} {what} is spent: raise its option max_{what} to "
            "go on; what was paid for is kept if the expert has a cache"
        )
