"""Asking an expert about a batch: bounded concurrency, failures as values, an end when
nothing works any more.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from reward_fns.errors import UserError
from reward_fns.expert import Expert, ExpertError, FatalExpertError
from reward_fns.expert.requests import Request, Verdict

HOPELESS = 20
"""A batch of so many requests or more that fails as a whole ends the run: the expert is down,
not the requests bad.
"""

AnyVerdict = TypeVar("AnyVerdict", bound=Verdict)


class Consultation:
    """An expert and the one event loop in which it is asked; a context manager.

    Args:
        concurrency: requests under way at a time, >= 1.
    """

    def __init__(self, expert: Expert, concurrency: int) -> None:
        self.expert = expert
        self.concurrency = concurrency
        self._runner = asyncio.Runner()

    def __enter__(self) -> "Consultation":
        self._runner.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._runner.close()

    @property
    def batch(self) -> int:
        """Requests to hand over at a time, enough that waiting for the last ones costs little."""
        return max(64, 8 * self.concurrency)

    def ask(self, requests: Sequence[Request[AnyVerdict]]) -> list[AnyVerdict | ExpertError]:
        """The verdict on each request, in order, or why there is none.

        Raises:
            UserError: no further request can succeed (bad key, spent budget), or all of many
                failed. What the expert has answered is kept where it has a cache.
        """
        answers = self._runner.run(self._gather(requests))
        failed = [answer for answer in answers if isinstance(answer, ExpertError)]
        for failure in failed:
            if isinstance(failure, FatalExpertError):
                raise UserError(
                    f"the expert {self.expert.name} cannot go on: {failure}"
                ) from failure
        if len(failed) == len(answers) >= HOPELESS:
            raise UserError(
                f"the expert {self.expert.name} failed on {len(failed)} requests in a row, the "
                f"last time with: {failed[-1]}. Run the same command again when it answers: "
                "nothing done is lost"
            ) from failed[-1]
        return answers

    async def _gather(
        self, requests: Sequence[Request[AnyVerdict]]
    ) -> list[AnyVerdict | ExpertError]:
        slots = asyncio.Semaphore(self.concurrency)
        hopeless = asyncio.Event()

        async def one(request: Request[AnyVerdict]) -> AnyVerdict | ExpertError:
            async with slots:
                if hopeless.is_set():
                    return ExpertError("not asked: the expert cannot go on", "not asked")
                try:
                    return await self.expert.ask(request)
                except FatalExpertError as error:
                    hopeless.set()
                    return error
                except ExpertError as error:
                    return error

        return list(await asyncio.gather(*(one(request) for request in requests)))
