"""An expert behind any server that speaks the OpenAI chat protocol: OpenAI, vLLM, the reward model that verl serves."""

import asyncio
import base64
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from reward_fns import prompts
from reward_fns.expert_protocol import ExpertError, ExpertRequest, ExpertVerdict

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# JSON escapes the breaks of ASCII; these it leaves as they are.
_OTHER_LINE_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029]")
_MIME_BY_SIGNATURE = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def image_url(image: bytes) -> str:
    """The image as a data URL.

    Raises:
        ExpertError: not PNG, JPEG, GIF or WebP.
    """
    for signature, mime in _MIME_BY_SIGNATURE.items():
        if image.startswith(signature):
            return f"data:{mime};base64,{base64.b64encode(image).decode()}"
    raise ExpertError(f"the image ({len(image)} bytes) is neither PNG, JPEG, GIF nor WebP")


def verdict_schema(n_claims: int, task: str) -> dict[str, Any]:
    """JSON schema of a verdict on `n_claims` claims."""
    overall = {"type": "integer", "enum": [0, 1]} if task == "QA" else {"type": "number", "minimum": 0, "maximum": 1}
    labels = {"type": "array", "items": {"type": "integer", "enum": [0, 1]}, "minItems": n_claims, "maxItems": n_claims}
    return {
        "type": "object",
        "properties": {"claims": labels, "overall": overall},
        "required": ["claims", "overall"],
        "additionalProperties": False,
    }


def read_verdict(content: str | None, n_claims: int, task: str) -> tuple[tuple[int, ...], float]:
    """Claim labels, (n_claims,), and overall verdict of a reply that is one JSON object and nothing else.

    Raises:
        ExpertError: anything else; no part of an unreadable reply is used.
    """
    try:
        verdict = json.loads(content or "")
    except (ValueError, RecursionError) as error:
        raise ExpertError(f"the expert's reply is not one JSON object: {str(content)[:200]!r}") from error
    if not isinstance(verdict, dict) or verdict.keys() != {"claims", "overall"}:
        raise ExpertError(f"the expert's reply must have the keys claims and overall only: {str(content)[:200]!r}")
    labels, overall = verdict["claims"], verdict["overall"]
    if not isinstance(labels, list) or not all(type(label) is int and label in (0, 1) for label in labels):
        raise ExpertError(f"the expert's claim labels are not a list of 0 and 1: {str(labels)[:200]}")
    if len(labels) != n_claims:
        raise ExpertError(f"the expert labelled {len(labels)} claims, the answer has {n_claims}")
    if type(overall) not in (int, float) or not 0 <= overall <= 1 or (task == "QA" and overall not in (0, 1)):
        raise ExpertError(
            f"the expert's overall verdict {str(overall)[:50]} is not {'0 or 1' if task == 'QA' else 'within 0 to 1'}"
        )
    return tuple(labels), float(overall)


def quoted(material: str | tuple[str, ...] | None) -> str:
    """Judged text as JSON on one line: it cannot forge a line of the prompt, such as the one that ends the material."""
    text = json.dumps(material, ensure_ascii=False)
    return _OTHER_LINE_BREAKS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _prompt(task: str) -> str:
    return f"expert_judge_{task.lower()}"


class OpenAIExpert:
    """Asks a served model for one structured verdict an answer.

    Args:
        model: name of the served model; also the expert's name in records.
        base_url: the server, ending in /v1; None for OpenAI's own.
        api_key_env: environment variable that holds the key; it is read when the first request is made. A server of
            one's own (`base_url` given) needs none.
        timeout: seconds that one attempt may take.
        max_retries: further attempts after a connection error, a timeout, a rate limit or a server error.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 60.0,
        max_retries: int = 2,
    ) -> None:
        self.name = model
        self.base_url = base_url
        self._api_key_env = api_key_env
        self._timeout = timeout
        self._max_retries = max_retries
        # A client's connections belong to the event loop that opened them.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = WeakKeyDictionary()

    def prompt_version(self, task: str) -> str:
        """Digest of the instructions for a task."""
        return hashlib.sha256(prompts.template(_prompt(task)).encode()).hexdigest()[:12]

    def _api_key(self) -> str:
        key = os.environ.get(self._api_key_env, "")
        if not key and self.base_url is None:
            raise ExpertError(f"no API key: set the environment variable {self._api_key_env}, or give a base_url")
        return key or "none"

    def _client(self) -> "AsyncOpenAI":
        # A second's import, which the oracle does not need.
        from openai import AsyncOpenAI

        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = AsyncOpenAI(
                api_key=self._api_key(), base_url=self.base_url, timeout=self._timeout, max_retries=self._max_retries
            )
        return self._clients[loop]

    async def judge(self, request: ExpertRequest) -> ExpertVerdict:
        """The served model's verdict on one answer.

        Raises:
            ExpertError: no key, no reply, or a reply that is not exactly a verdict on this answer. Messages never hold
                the key.
        """
        import openai

        text = prompts.render(
            _prompt(request.task),
            question=quoted(request.question),
            reference=quoted(request.ground_truth or None),
            response=quoted(request.response),
            claims=quoted(request.claims),
            count=str(len(request.claims)),
        )
        content: list[Any] = [{"type": "text", "text": text}]
        if request.image is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": image_url(request.image)}})
        schema = verdict_schema(len(request.claims), request.task)
        client = self._client()
        try:
            completion = await client.chat.completions.create(
                model=self.name,
                messages=[{"role": "user", "content": content}],
                temperature=0,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "verdict", "strict": True, "schema": schema},
                },
            )
            reply = completion.choices[0].message.content if completion.choices else None
        except (openai.OpenAIError, ValueError, AttributeError) as error:
            # A server may echo the key; neither the message nor the chained exception may carry it on.
            message = str(error).replace(client.api_key, "[key]")[:300]
            raise ExpertError(f"expert {self.name} gave no reply: {type(error).__name__}: {message}") from None
        labels, overall = read_verdict(reply, len(request.claims), request.task)
        return ExpertVerdict(labels, overall, self.name)
