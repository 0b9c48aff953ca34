"""One attempt at one question to a server that speaks the OpenAI chat protocol, and what its failure means.

| outcome | meaning |
|---|---|
| 408, 409, 425, 429, 5xx, timeout, dropped connection, malformed body | another attempt (TransientError) |
| 401, 403: bad key; 404: unknown model or address; 429 `insufficient_quota` | the run ends (FatalExpertError) |
| any other 4xx | this request has failed (ExpertError, reason "refused"): too long, a content filter |

Messages hold neither the key nor texts of the request, though a server may echo them.
"""

import asyncio
import base64
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from reward_fns.expert.errors import ExpertError, FatalExpertError, TransientError
from reward_fns.expert.requests import Usage
from reward_fns.expert.serving.retry import retry_after_seconds

if TYPE_CHECKING:
    import openai

_MIME_BY_SIGNATURE = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
_WORTH_A_RETRY = (408, 409, 425, 429)
_LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Reply:
    """What a server replied: the text, its model's identity, the tokens, and whether log-probabilities came along."""

    content: str | None
    model: str
    usage: Usage
    logprobs: bool = False


def image_url(image: bytes) -> str:
    """The image as a data URL.

    Raises:
        ExpertError: not PNG, JPEG, GIF or WebP.
    """
    for signature, mime in _MIME_BY_SIGNATURE.items():
        if image.startswith(signature):
            return f"data:{mime};base64,{base64.b64encode(image).decode()}"
    raise ExpertError(f"the image ({len(image)} bytes) is neither PNG, JPEG, GIF nor WebP", "image")


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
        parameters: further arguments of a chat completion, such as ``seed`` or ``max_completion_tokens``.
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
        self.parameters = {"temperature": 0, **parameters}
        # A client's connections belong to the event loop that opened them.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = (
            WeakKeyDictionary()
        )

    def _api_key(self) -> str:
        key = os.environ.get(self.api_key_env, "")
        if not key and self.base_url is None:
            raise FatalExpertError(
                f"no API key: set the environment variable {self.api_key_env}, or give the expert a base_url",
                "key",
            )
        return key or "none"

    def _client(self) -> "openai.AsyncOpenAI":
        # A second's import, which the oracle does not need.
        import openai

        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = openai.AsyncOpenAI(
                api_key=self._api_key(),
                base_url=self.base_url,
                timeout=self.timeout,
                max_retries=0,
                # The client's own default closes itself when it is collected, in whatever loop then runs: not in this.
                http_client=openai.DefaultAsyncHttpxClient(),
            )
        return self._clients[loop]

    async def send(
        self,
        text: str,
        image: bytes | None,
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

        content: list[Any] = [{"type": "text", "text": text}]
        if image is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": image_url(image)}})
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
        client = self._client()
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
        return ExpertError(f"{who} refused the request ({status}): {said}", "refused")

    def _reply(self, completion: Any) -> Reply:
        """The text of a chat completion, whatever the server sent in its place.

        Raises:
            TransientError: it is none.
        """
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        if message is None or not isinstance(getattr(message, "content", None), str | None):
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
        return Reply(message.content, model, usage, getattr(choice, "logprobs", None) is not None)
