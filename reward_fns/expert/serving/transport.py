"""One attempt at one question to a server that speaks the OpenAI chat protocol, and what its failure means.

| outcome | meaning |
|---|---|
| 408, 409, 425, 429, 5xx, timeout, dropped connection, malformed body | another attempt (TransientError) |
| 401, 403: bad key; 404: unknown model or address; 429 `insufficient_quota` | the run ends (FatalExpertError) |
| any other 4xx | this request has failed (ExpertError, reason "refused"): too long, a content filter |
| 200 without text: a refusal, a content filter | this request has failed (ExpertError, with its own reason) |
| 200 cut off by the token limit | this request has failed (ExpertError, reason "length"): the same again would be too |
| 200 with nothing but reasoning, or with nothing | another attempt |

Messages hold neither the key nor texts of the request, though a server may echo them.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reward_fns.expert.errors import ExpertError, FatalExpertError, TransientError
from reward_fns.expert.requests import Usage
from reward_fns.expert.serving.images import image_url
from reward_fns.expert.serving.retry import retry_after_seconds

if TYPE_CHECKING:
    import openai

_WORTH_A_RETRY = (408, 409, 425, 429)
_LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Reply:
    """What a server replied.

    Attributes:
        content: the text; None where there is none.
        model: the identity that the server states.
        usage: the tokens.
        logprobs: whether log-probabilities came along.
        finish: why the reply ended, as the server says: "stop", "length", "content_filter", ...; "" if it does not.
        refusal: the model refused, in the message's own field for it.
        reasoning: there is text in the message's field for reasoning.
    """

    content: str | None
    model: str
    usage: Usage
    logprobs: bool = False
    finish: str = ""
    refusal: bool = False
    reasoning: bool = False


_PARAMETERS = (
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "json_schema",
    "seed",
)


def _content(content: Any) -> str | None:
    """A message's text, which some servers send as a list of parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "".join(text for text in parts if isinstance(text, str))
    return content if isinstance(content, str) and content.strip() else None


async def _closing(client: "openai.AsyncOpenAI") -> AsyncGenerator[None, None]:
    """Closes a client when its event loop ends: `asyncio.run` closes the generators that still wait."""
    try:
        yield
    finally:
        await client.close()


def without(message: str, secrets: Iterable[str]) -> str:
    """The message without the secrets, each where it stands as a whole word, cut to a readable length."""
    for secret in sorted({secret for secret in secrets if secret.strip()}, key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "[...]", message)
    return message[:_LONGEST_MESSAGE]


class Transport:
    """Sends questions to one model on one server.

    Args:
        model: name of the served model.
        base_url: the server, ending in /v1; None for OpenAI's own.
        api_key_env: environment variable that holds the key; it is read when the first request is made. A server of
            one's own (`base_url` given) needs none.
        timeout: seconds that one attempt may take.
        parameters: further arguments of a chat completion, such as ``seed`` or ``max_completion_tokens``; None takes
            out a default (``temperature: null``, which reasoning models ask for).
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        api_key_env: str,
        timeout: float,
        parameters: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.timeout = timeout
        given = {"temperature": 0, **parameters}
        self.parameters = {name: value for name, value in given.items() if value is not None}
        # A client's connections belong to the event loop that opened them.
        self._clients: dict[
            asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, AsyncGenerator[None, None]]
        ] = {}

    def with_parameters(self, **parameters: Any) -> "Transport":
        """The same server and model, asked with these parameters on top; None takes one out."""
        own = self.parameters | ({} if "temperature" in self.parameters else {"temperature": None})
        return Transport(
            self.model, self.base_url, self.api_key_env, self.timeout, own | parameters
        )

    def _api_key(self) -> str:
        key = os.environ.get(self.api_key_env, "")
        if not key and self.base_url is None:
            raise FatalExpertError(
                f"no API key: set the environment variable {self.api_key_env}, or give the expert a base_url",
                "key",
            )
        return key or "none"

    async def _client(self) -> "openai.AsyncOpenAI":
        # A second's import, which the oracle does not need.
        import openai

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
                # The client's own default closes itself when it is collected, in whatever loop then runs: not in this.
                http_client=openai.DefaultAsyncHttpxClient(),
            )
            closing = _closing(client)
            self._clients[loop] = client, closing
            await anext(closing)
        return self._clients[loop][0]

    async def send(
        self,
        text: str,
        images: Sequence[bytes],
        schema: Mapping[str, Any] | None,
        secrets: Iterable[str] = (),
    ) -> Reply:
        """The reply to one attempt.

        Args:
            schema: JSON schema that the reply has to follow; None to ask for none.
            secrets: texts that no message may hold.

        Raises:
            TransientError, FatalExpertError, ExpertError: see the module docstring.
        """
        import openai
        from openai.types.chat import ChatCompletion

        content: list[Any] = [
            {"type": "image_url", "image_url": {"url": image_url(image)}} for image in images
        ]
        content.append({"type": "text", "text": text})
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            **self.parameters,
        }
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": schema},
            }
        client = await self._client()
        try:
            # `chat.completions.create` takes 1.8 ms more of CPU to look through the arguments (2.4 ms without).
            completion: Any = await client.post(
                "/chat/completions", body=body, cast_to=ChatCompletion
            )
        except openai.OpenAIError as error:
            # A server may echo the key or the question; neither the message nor the chained exception carries it on.
            raise self._failure(error, [client.api_key, *secrets]) from None
        except ValueError as error:
            raise TransientError(
                f"expert {self.model} sent a malformed body ({type(error).__name__})", "malformed"
            ) from None
        return self._reply(completion)

    def _failure(self, error: "openai.OpenAIError", secrets: Iterable[str]) -> ExpertError:
        import openai

        who = f"expert {self.model}"
        if isinstance(error, openai.APITimeoutError):
            return TransientError(f"{who} did not reply within {self.timeout:g} s", "timeout")
        if isinstance(error, openai.APIConnectionError):
            return TransientError(f"{who} is not reachable or dropped the connection", "connection")
        if not isinstance(error, openai.APIStatusError):
            return TransientError(
                f"{who} sent a malformed body ({type(error).__name__})", "malformed"
            )
        status = error.status_code
        said = without(str(error.message), secrets)
        if status in (401, 403):
            return FatalExpertError(
                f"{who} refuses the key ({status}): set the environment variable {self.api_key_env} to one that may "
                f"use this model. It says: {said}",
                "key",
            )
        if status == 404:
            return FatalExpertError(
                f"{who} is not served there (404): mend the expert's model or base_url ({self.base_url or 'OpenAI'}). "
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
        # OpenAI names the parameter in a field, other servers in their message.
        named = [name for name in _PARAMETERS if name == error.param or name in said]
        remedy = (
            f". It does not take {named[0]} as given: `python -m reward_fns.expert check` finds out what it takes "
            "and prints the configuration"
            if named
            else ""
        )
        return ExpertError(f"{who} refused the request ({status}): {said}{remedy}", "refused")

    def cut_off(self, reply: Reply) -> ExpertError:
        """The failure of a reply that ended at the token limit."""
        thought = " Reasoning counts too." if reply.reasoning or reply.content is None else ""
        return ExpertError(
            f"the reply of {reply.model} was cut off at the token limit after {reply.usage.completion_tokens} tokens: "
            f"raise max_completion_tokens (or max_tokens) in the expert's parameters.{thought}",
            "length",
        )

    def text_of(self, reply: Reply) -> str:
        """The text of a reply.

        Raises:
            ExpertError: there is none, and there would be none another time.
            TransientError: there is none.
        """
        if reply.content is not None and not reply.refusal:
            return reply.content
        if reply.finish == "length":
            raise self.cut_off(reply)
        if reply.refusal:
            raise ExpertError(f"{reply.model} refuses to judge this answer", "refusal")
        if reply.finish == "content_filter":
            raise ExpertError(
                f"the content filter of {reply.model} stopped the reply", "content_filter"
            )
        what = "nothing but reasoning" if reply.reasoning else "no text"
        raise TransientError(f"{reply.model} sent {what}", "empty")

    def _reply(self, completion: Any) -> Reply:
        """The text of a chat completion, whatever the server sent in its place.

        Raises:
            TransientError: it is none.
        """
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        if message is None or not isinstance(message.content, str | list | None):
            raise TransientError(
                f"expert {self.model} sent a malformed body (no chat completion)", "malformed"
            )
        tokens = getattr(completion, "usage", None)
        counts = [getattr(tokens, name, None) for name in ("prompt_tokens", "completion_tokens")]
        prompt, completed = (
            count if isinstance(count, int) and count >= 0 else 0 for count in counts
        )
        model = (
            completion.model
            if isinstance(completion.model, str) and completion.model
            else self.model
        )
        usage = Usage(prompt_tokens=prompt, completion_tokens=completed)
        reasoning = [getattr(message, name, None) for name in ("reasoning_content", "reasoning")]
        return Reply(
            content=_content(message.content),
            model=model,
            usage=usage,
            logprobs=getattr(choice, "logprobs", None) is not None,
            finish=str(getattr(choice, "finish_reason", None) or ""),
            refusal=bool(getattr(message, "refusal", None)),
            reasoning=any(reasoning),
        )
