"""An expert behind any server that speaks the OpenAI chat protocol: OpenAI, vLLM, Ollama, the
reward model verl serves.

A request is rendered (`forms`), admitted (`limits`), sent (`transport`), tried again where that
helps (`retry`), read strictly (`forms`) and counted (`stats`). What ends the run is remembered:
no later request is sent.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reward_fns.expert.errors import BudgetExhausted, ExpertError, FatalExpertError, TransientError
from reward_fns.expert.prompting import forms
from reward_fns.expert.requests import Request, Source, Usage, V
from reward_fns.expert.serving.addresses import server_of, with_password
from reward_fns.expert.serving.images import image_urls
from reward_fns.expert.serving.limits import Limits
from reward_fns.expert.serving.retry import Patience, persist
from reward_fns.expert.serving.secret_options import with_values
from reward_fns.expert.serving.transport import Transport
from reward_fns.expert.stats import Stats, price_of

REFUSALS_BEFORE_ANY_ANSWER = 8
"""So many refused requests and not one answer: it is the configuration, not the requests."""

TURNED_AWAY_IN_A_ROW = 5
"""So many 401, 403 or 404 without an answer between, after answers: the key has died, or
the server has moved.
"""


class OpenAIExpert:
    """Asks a served model.

    Args:
        model: name of the served model; also the expert's name in records.
        base_url, api_key_env, timeout, parameters: see `transport.Transport`.
        password_env: environment variable with the password of the name in `base_url`,
            `http://me@host/v1`.
        parameters_env: like `parameters`, with the name of an environment variable in place of each
            value: secrets, which are no part of who judges. ``{tenant: {token: TENANT_TOKEN}}``
        server: names who serves the model, where the address does not: one judge may move, and two
            may stand behind one address in turn. None: the address.
        json_schema: ask the server to hold the reply to a JSON schema; false
            for a server that cannot.
        max_retries, backoff, longest_wait, deadline: see `retry.Patience`.
        requests_per_minute, tokens_per_minute, max_calls, max_tokens: see `limits.Limits`.
        limits_directory: its `directory`; the factory puts it into the cache's directory.
        prices: see `stats`.

    Raises:
        ValueError: an option out of range, a variable that is not set,
            or a price table without the model.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key_env: str | None = None,
        password_env: str | None = None,
        timeout: float = 60.0,
        parameters: Mapping[str, Any] | None = None,
        parameters_env: Mapping[str, Any] | None = None,
        server: str | None = None,
        json_schema: bool = True,
        max_retries: int = 6,
        backoff: float = 0.5,
        longest_wait: float = 30.0,
        deadline: float = 300.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        limits_directory: Path | None = None,
        prices: str | Mapping[str, Any] | None = None,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"the expert's timeout must be above 0 seconds, got {timeout}")
        self.name = model
        self.base_url = base_url
        self.stats = Stats()
        address = with_password(base_url, password_env)
        secret = with_values(parameters_env or {})
        self._transport = Transport(model, address, api_key_env, timeout, parameters or {}, secret)
        self._json_schema = json_schema
        self._server = server or server_of(base_url)
        self._patience = Patience(max_retries, backoff, longest_wait, deadline)
        self._limits = Limits(
            requests_per_minute, tokens_per_minute, max_calls, max_tokens, limits_directory
        )
        self._price = price_of(model, prices)
        self._fatal: FatalExpertError | None = None
        self._refused = 0
        self._turned_away = 0
        self._accepted = False

    @property
    def identity(self) -> dict[str, Any]:
        """What its verdicts depend on beside the model's name: the server, and what it is sent."""
        sent = {"parameters": _plain(self._transport.parameters), "json_schema": self._json_schema}
        return {"server": self._server, **sent}

    def prompt_version(self, request: Request[Any]) -> str:
        """Digest of the instructions that the request uses."""
        return forms.prompt_version(request)

    def earlier_versions(self, request: Request[Any]) -> tuple[str, ...]:
        """Versions of the instructions whose verdicts still hold."""
        return forms.earlier_versions(request)

    async def ask(self, request: Request[V]) -> V:
        """The served model's verdict.

        Raises:
            FatalExpertError: no request can succeed any more, or the budget is spent; also
                for every later request.
            ExpertError: no reply, or none that is exactly a verdict on this request, within the
                retries and the deadline. Messages hold neither the key nor texts of the request.
        """
        asking = _Asking(self, request, forms.prompt_text(request))
        try:
            return await persist(asking.attempt, self._patience, asking.retried)
        except FatalExpertError as error:
            if self._may_be_one_request(error):
                raise ExpertError(str(error), "refused") from error
            self._fatal = error
            raise
        except ExpertError as error:
            if error.reason == "refused":
                self._count_refusal(error)
            raise

    def _check_fatal(self) -> None:
        """Raise what ended the run, anew: an exception that is raised again keeps
        growing its traceback.
        """
        if isinstance(self._fatal, BudgetExhausted):
            raise BudgetExhausted(str(self._fatal))
        if self._fatal is not None:
            raise FatalExpertError(str(self._fatal), self._fatal.reason)

    def _may_be_one_request(self, error: FatalExpertError) -> bool:
        """Whether the key or the address that is refused has worked: a firewall turns
        single requests away so.
        """
        if error.reason not in ("key", "model") or not self._accepted:
            return False
        self._turned_away += 1
        return self._turned_away < TURNED_AWAY_IN_A_ROW

    def _count_refusal(self, error: ExpertError) -> None:
        self._refused += 1
        if not self._accepted and self._refused >= REFUSALS_BEFORE_ANY_ANSWER:
            self._fatal = FatalExpertError(
                f"{error}. It refused the first {self._refused} requests, so its options are "
                "wrong: `python -m reward_fns.expert check` tells what the server can do "
                "(json_schema: false? no images?)",
                "refused",
            )
            raise self._fatal from error


def _plain(value: Any) -> Any:
    """The same as JSON has it; a whole number is one way of writing, 0 and 0.0 are one parameter.

    A text may be a tenant's token, and the identity stands in the cache: its digest tells it apart.
    """
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, int | float):
        return value
    return f"sha256:{hashlib.sha256(str(value).encode()).hexdigest()[:16]}"


class _Asking:
    """The attempts at one request."""

    def __init__(self, expert: OpenAIExpert, request: Request[Any], text: str) -> None:
        self._expert = expert
        self._request = request
        self._text = text
        self._usage = Usage()
        self._pictures: tuple[str, ...] | None = None
        material = (
            getattr(request, name, None)
            for name in ("question", "response", "ground_truth", "answer", "text")
        )
        self._secrets = [text for text in material if text]

    def retried(self, error: TransientError) -> None:
        self._expert.stats.retries[error.reason] += 1

    async def attempt(self) -> Any:
        expert = self._expert
        # Another request's failure may have ended the run, also while this one waited.
        expert._check_fatal()
        # Before anything is counted: a request whose image cannot be read is never sent.
        pictures = await self._encoded()
        reserved = await expert._limits.admit()
        expert._check_fatal()
        expert.stats.calls += 1
        self._usage += Usage(calls=1, retries=int(self._usage.calls > 0))
        tokens = 0
        try:
            schema = forms.reply_schema(self._request) if expert._json_schema else None
            reply = await expert._transport.send(self._text, pictures, schema, self._secrets)
            tokens = reply.usage.prompt_tokens + reply.usage.completion_tokens
        finally:
            expert._limits.settle(reserved, tokens)
        expert._accepted = True
        expert._turned_away = 0
        self._pay(reply.usage)
        source = Source(reply.model, expert.prompt_version(self._request), self._usage)
        text = reply.text
        try:
            return forms.read_reply(self._request, text, source)
        except ExpertError as error:
            if (ended := reply.ended_early) is not None:
                raise ended from None
            # The same words may be read another time: servers batch, and a judge
            # is not exactly repeatable.
            raise TransientError(str(error), error.reason) from None

    async def _encoded(self) -> tuple[str, ...]:
        """The request's images as they are sent; made once, for all attempts.

        Raises:
            ExpertError: one of them cannot be read (reason "image").
        """
        if self._pictures is None:
            images = getattr(self._request, "images", ())
            # In a thread: a large picture takes seconds, in which all other requests would wait.
            self._pictures = await asyncio.to_thread(image_urls, images) if images else ()
        return self._pictures

    def _pay(self, usage: Usage) -> None:
        stats = self._expert.stats
        cost = self._expert._price.of(usage)
        self._usage += Usage(0, 0, usage.prompt_tokens, usage.completion_tokens, cost)
        stats.prompt_tokens += usage.prompt_tokens
        stats.completion_tokens += usage.completion_tokens
        stats.cost += cost
