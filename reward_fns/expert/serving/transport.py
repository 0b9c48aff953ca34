"""One attempt at one question to a server that speaks the OpenAI chat protocol, and
what a failed one means.

| outcome | meaning |
|---|---|
| 408, 409, 425, 429, 5xx, timeout, dropped connection, malformed body | another attempt |
| | (TransientError) |
| 401, 403: bad key; 404: unknown model or address; 429 `insufficient_quota` | the run ends |
| | (FatalExpertError) |
| 4xx with the code of a content filter | this request has failed |
| | (ExpertError, reason "content_filter") |
| any other 4xx: too long, a parameter | this request has failed |
| | (ExpertError, reason "refused") |
| 200 | see `completions` |

Of a server that has answered, one 401, 403 or 404 is that request's alone (`served`).
Messages hold neither the key nor texts of the request, though a server may echo them.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reward_fns.expert.errors import ExpertError, FatalExpertError, TransientError
from reward_fns.expert.serving.addresses import (
    OPENAI_KEY,
    asked_address,
    is_openai,
    key_variable,
    passwords_in,
    through_proxy,
    without_password,
)
from reward_fns.expert.serving.completions import Reply, reply_of
from reward_fns.expert.serving.redaction import texts_in, without
from reward_fns.expert.serving.retry import retry_after_seconds
from reward_fns.expert.serving.secret_options import merged

if TYPE_CHECKING:
    import openai

_WORTH_A_RETRY = (408, 409, 425, 429)
_FILTER_CODES = ("content_filter", "content_policy_violation")
"""What Azure and OpenAI call a prompt that their filter stops."""


_PARAMETERS = (
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "json_schema",
    "seed",
)


async def _closing(client: "openai.AsyncOpenAI") -> AsyncGenerator[None, None]:
    """Closes a client when its event loop ends: `asyncio.run` closes the
    generators that still wait.
    """
    try:
        yield
    finally:
        await client.close()


class Transport:
    """Sends questions to one model on one server.

    Args:
        model: name of the served model.
        base_url: the server, ending in /v1; None for OpenAI's own.
        api_key_env: environment variable that holds the key; it is read when the first request is
            made. None: OPENAI_API_KEY for OpenAI's own servers, and no key for any other, which
            must not get to see that one.
        timeout: seconds that one attempt may take.
        parameters: further arguments of a chat completion, such as ``seed`` or
            ``max_completion_tokens``; None takes out a default
            (``temperature: null``, which reasoning models ask for).
        secret_parameters: further ones, nested as the former,
            which no message and no identity holds.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        api_key_env: str | None,
        timeout: float,
        parameters: Mapping[str, Any],
        secret_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.timeout = timeout
        given = {"temperature": 0, **parameters}
        self.parameters = {name: value for name, value in given.items() if value is not None}
        self._secret = secret_parameters or {}
        self._sent = merged(self.parameters, self._secret)
        # A client's connections belong to the event loop that opened them.
        self._clients: dict[
            asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, AsyncGenerator[None, None]]
        ] = {}

    def with_parameters(self, **parameters: Any) -> "Transport":
        """The same server and model, asked with these parameters on top; None takes one out."""
        own = self.parameters | ({} if "temperature" in self.parameters else {"temperature": None})
        return Transport(
            self.model,
            self.base_url,
            self.api_key_env,
            self.timeout,
            own | parameters,
            self._secret,
        )

    def _api_key(self) -> str:
        name = key_variable(self.api_key_env, self.base_url)
        key = os.environ.get(name, "") if name else ""
        if not key and name and self.base_url is None:
            raise FatalExpertError(
                f"no API key: set the environment variable {name}, or give the expert a base_url",
                "key",
            )
        return key or "none"

    def _key_remedy(self) -> str:
        """What to do where the key is refused."""
        if self.api_key_env is None and not is_openai(self.base_url):
            return (
                "it was sent none, since the one in OPENAI_API_KEY goes to OpenAI alone: name "
                "the variable that holds this server's by the expert's api_key_env"
            )
        return (
            f"set the environment variable {self.api_key_env or OPENAI_KEY} to one "
            "that may use this model"
        )

    async def _client(self) -> "openai.AsyncOpenAI":
        # A second's import, which the oracle does not need.
        import openai

        from reward_fns.expert.serving.bounded import BoundedClient

        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            # Else a program that calls asyncio.run for each answer ends with "Too many open files".
            for ended in [known for known in self._clients if known.is_closed()]:
                del self._clients[ended]
            client = openai.AsyncOpenAI(
                api_key=self._api_key(),
                base_url=self.base_url,
                timeout=self.timeout,
                max_retries=0,
                # The client's own default closes itself when it is collected, in whatever
                # loop then runs: not in this.
                http_client=BoundedClient(),
            )
            closing = _closing(client)
            self._clients[loop] = client, closing
            await anext(closing)
        return self._clients[loop][0]

    async def send(
        self,
        text: str,
        pictures: Sequence[str],
        schema: Mapping[str, Any] | None,
        secrets: Iterable[str] = (),
    ) -> Reply:
        """The reply to one attempt.

        Args:
            pictures: the images as URLs, see `images`.
            schema: JSON schema that the reply has to follow; None to ask for none.
            secrets: texts that no message may hold.

        Raises:
            TransientError, FatalExpertError, ExpertError: see the module docstring.
        """
        import openai
        from openai.types.chat import ChatCompletion

        from reward_fns.expert.serving.bounded import UnreadableBodyError

        content: list[Any] = [
            {"type": "image_url", "image_url": {"url": picture}} for picture in pictures
        ]
        content.append({"type": "text", "text": text})
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            **self._sent,
        }
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": schema},
            }
        client = await self._client()
        try:
            # `chat.completions.create` takes 1.8 ms more of CPU to look through the arguments
            # (2.4 ms without). The client's own timeout is of each read: a reply that drips would
            # take as long as it likes.
            async with asyncio.timeout(self.timeout):
                completion: Any = await client.post(
                    "/chat/completions", body=body, cast_to=ChatCompletion
                )
        except TimeoutError:
            raise self._too_late() from None
        except UnreadableBodyError as error:
            raise TransientError(f"expert {self.model} sent {error}", "malformed") from None
        except openai.OpenAIError as error:
            # A server may echo the key or the question; neither the message nor the chained
            # exception carries it on.
            raise self._failure(error, client.api_key, secrets) from None
        except ValueError as error:
            raise TransientError(
                f"expert {self.model} sent a malformed body ({type(error).__name__})", "malformed"
            ) from None
        return reply_of(completion, self.model)

    def _too_late(self) -> TransientError:
        message = f"expert {self.model} did not reply within {self.timeout:g} s"
        return TransientError(message, "timeout")

    def _failure(
        self, error: "openai.OpenAIError", key: str, secrets: Iterable[str]
    ) -> ExpertError:
        import openai

        from reward_fns.expert.serving.bounded import UnreadableBodyError

        who = f"expert {self.model}"
        if isinstance(error, openai.APITimeoutError):
            return self._too_late()
        # As versions of the client say it that wrap whatever happens.
        if isinstance(error.__cause__, UnreadableBodyError):
            return TransientError(f"{who} sent {error.__cause__}", "malformed")
        if isinstance(error, openai.APIConnectionError):
            where = without_password(asked_address(self.base_url))
            return TransientError(
                f"{who} at {where} is not reachable or dropped the "
                f"connection{through_proxy(where)}",
                "connection",
            )
        if not isinstance(error, openai.APIStatusError):
            return TransientError(
                f"{who} sent a malformed body ({type(error).__name__})", "malformed"
            )
        status = error.status_code
        keys = [
            *passwords_in(self.base_url),
            *texts_in(self.parameters),
            *texts_in(self._secret, shortest=1),
            *([key] if key != "none" else []),
        ]
        said = without(str(error.message), secrets, keys)
        if 300 <= status < 400:
            return FatalExpertError(
                f"{who} redirects ({status}), which is not followed: mend base_url "
                f"({without_password(self.base_url or 'OpenAI')})",
                "model",
            )
        if status in (401, 403):
            return FatalExpertError(
                f"{who} refuses the key ({status}): {self._key_remedy()}. It says: {said}",
                "key",
            )
        if status == 404:
            return FatalExpertError(
                f"{who} is not served there (404): mend the expert's model or base_url "
                f"({without_password(self.base_url or 'OpenAI')}). "
                f"The server says: {said}",
                "model",
            )
        if status == 429 and error.code == "insufficient_quota":
            return FatalExpertError(
                f"{who}: the account's quota is used up. It says: {said}", "quota"
            )
        if status in _WORTH_A_RETRY or status >= 500:
            reason = str(status) if status < 500 else "5xx"
            asked = retry_after_seconds(error.response.headers.get("retry-after"))
            return TransientError(f"{who} gave no verdict ({status}): {said}", reason, asked)
        if error.code in _FILTER_CODES:
            return ExpertError(
                f"the content filter of {who} refused the request ({status}): {said}",
                "content_filter",
            )
        return ExpertError(
            f"{who} refused the request ({status}): {said}{self._remedy(error.param, said)}",
            "refused",
        )

    def _remedy(self, param: str | None, said: str) -> str:
        """What to do about a refused parameter; "" if none is named."""
        names = dict.fromkeys((*_PARAMETERS, *self.parameters))
        # OpenAI names the parameter in a field, other servers in their message.
        named = [name for name in names if name == param] or [
            name for name in names if re.search(rf"\b{re.escape(name)}\b", said)
        ]
        if not named:
            return ""
        return (
            f". It does not take {named[0]} as given: `python -m reward_fns.expert check` finds "
            "out what it takes and prints the configuration"
        )
