"""How an answer's claims are put to an expert: all in one call, or Algorithm 1's N + 1 calls.

One call. The claims stand in the prompt in an order that is drawn from their contents, each
text once, and the labels are put back into the answer's order. So the labels depend neither on
where a claim stands (judges favour places) nor on how often it is repeated, and the same claims
always make the same prompt.

Per claim. Each distinct claim is a request of its own, and so is the answer as a whole;
they run at the same time.
"""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, cast

from reward_fns.expert.protocol import VersionedExpert, identity_of
from reward_fns.expert.requests import (
    AnswerRequest,
    AnswerVerdict,
    ClaimRequest,
    OverallRequest,
    Request,
    Source,
    Usage,
    V,
)
from reward_fns.expert.stats import stats_of


def drawn_order(question: str, claims: tuple[str, ...]) -> tuple[str, ...]:
    """The distinct claims in an order that depends on the set of them and the
    question, and on nothing else.
    """

    def draw(claim: str) -> bytes:
        return hashlib.sha256(f"{question}\0{claim}".encode(errors="surrogatepass")).digest()

    return tuple(sorted(set(claims), key=draw))


class _Mode(ABC):
    """Common to both: every other kind of request goes through as it is."""

    def __init__(self, expert: VersionedExpert) -> None:
        self.name = expert.name
        self.expert = expert
        self.identity = identity_of(expert)
        self.stats = stats_of(expert)

    def prompt_version(self, request: Request[Any]) -> str:
        """Digest of the instructions that the request uses."""
        return self.expert.prompt_version(request)

    async def ask(self, request: Request[V]) -> V:
        """The verdict.

        Raises:
            ExpertError: no usable verdict.
        """
        if isinstance(request, AnswerRequest):
            return cast(V, await self._answer(request))
        return await self.expert.ask(request)

    @abstractmethod
    async def _answer(self, request: AnswerRequest) -> AnswerVerdict: ...

    async def _overall(self, request: AnswerRequest) -> tuple[float, Source]:
        asked = OverallRequest(
            request.question, request.task, request.response, request.ground_truth, request.images
        )
        verdict = await self.expert.ask(asked)
        return verdict.overall, verdict.source


class OneCall(_Mode):
    """All claims and the overall verdict in one call."""

    async def _answer(self, request: AnswerRequest) -> AnswerVerdict:
        if not request.claims:
            overall, source = await self._overall(request)
            return AnswerVerdict((), overall, source)
        drawn = drawn_order(request.question, request.claims)
        verdict = await self.expert.ask(replace(request, claims=drawn))
        label = dict(zip(drawn, verdict.claim_labels, strict=True))
        return replace(verdict, claim_labels=tuple(label[claim] for claim in request.claims))


class PerClaim(_Mode):
    """Algorithm 1: one call for each claim and one for the answer as a whole."""

    async def _answer(self, request: AnswerRequest) -> AnswerVerdict:
        claims = drawn_order(request.question, request.claims)
        asked = [
            ClaimRequest(
                request.question,
                request.task,
                claim,
                request.response,
                request.ground_truth,
                request.images,
            )
            for claim in claims
        ]
        # All outcomes are awaited, so that a failure leaves no call behind that nobody waits for.
        results: list[Any] = await asyncio.gather(
            self._overall(request), *map(self.expert.ask, asked), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        (overall, overall_source), *verdicts = results
        label = {claim: verdict.label for claim, verdict in zip(claims, verdicts, strict=True)}
        sources = [overall_source, *(verdict.source for verdict in verdicts)]
        source = replace(
            overall_source,
            usage=sum((source.usage for source in sources), Usage()),
            cached=all(source.cached for source in sources),
        )
        return AnswerVerdict(tuple(label[claim] for claim in request.claims), overall, source)


MODES: dict[str, type[OneCall] | type[PerClaim]] = {"one_call": OneCall, "per_claim": PerClaim}
