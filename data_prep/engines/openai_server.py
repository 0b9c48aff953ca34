"""A model behind an OpenAI-compatible server (vLLM's own, Ollama, OpenAI), asked
through the `openai` package.

    {"kind": "openai", "model": "gpt-4o", "base_url": null, "api_key_env": null, "concurrency": 16,
     "timeout": 120, "retries": 5, "extra_body": {}}

Images travel as data URLs. A server that answers fewer than the `n` choices asked for (Ollama
gives one) is asked for the others, with seed + the number it has given; vLLM's server draws choice
j with seed + j as the offline engine does. Rate limits, 5xx and lost connections are retried by
the client (`retries`, with growing waits).

vLLM's server: start it with ``--generation-config vllm``, or it samples with the model's own top-k
and penalties. Its chat endpoint leaves out the beginning-of-sequence token that the model was
trained with; a server that says it is vLLM is told to add it, and which placeholder tokens it must
not draw (`placeholders`), where the model that it serves can be found here too; elsewhere name
them in `extra_body`, as `bad_words`.
OpenAI lists no end-of-sequence token among the tokens of an answer, vLLM does.
"""

import base64
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from data_prep.engines.at_once import at_once
from data_prep.engines.chat import in_eight_bits_for_a_server, media_type
from data_prep.engines.interface import (
    Completion,
    GenerationRequest,
    NoLogprobs,
    Sampling,
    ScoredAnswer,
    ScoringRequest,
    Token,
    all_answered,
    sum_by_text,
)
from data_prep.engines.placeholders import placeholder_texts_of
from data_prep.engines.served_scoring import ChangedAnswer, ServedScorer, read_tokenizer
from reward_fns.errors import UserError
from reward_fns.expert.serving.addresses import (
    key_variable,
    passwords_in,
    through_proxy,
    without_password,
)
from reward_fns.expert.serving.redaction import texts_in, without

if TYPE_CHECKING:
    import openai

_Reply = TypeVar("_Reply", list[Completion], list[ScoredAnswer])
_NO_KEY = "no-key"  # the client wants one; a server of one's own need not


class _RefusedError(UserError):
    """This request alone."""


class OpenAIEngine:
    """A served model.

    Args:
        model: the name it is served under.
        base_url: address up to and including `/v1`; None for OpenAI's own.
        api_key_env: environment variable with the key. None: OPENAI_API_KEY for OpenAI's own
            servers, none for others.
        concurrency: requests under way at a time, >= 1.
        timeout: seconds for one request.
        retries: further tries of a request that failed for a passing reason.
        extra_body: fields of the server's own, sent with every request.

    Raises:
        UserError: no key, or a value out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key_env: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        retries: int = 5,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        name = key_variable(api_key_env, base_url)
        key = os.environ.get(name, "") if name else ""
        if not key and name and base_url is None:
            raise UserError(
                f"no API key: set the environment variable {name}, or give the engine a base_url"
            )
        if concurrency < 1 or timeout <= 0 or retries < 0:
            raise UserError(
                "the openai engine needs concurrency >= 1, timeout > 0 and retries >= 0"
            )
        import openai

        self._model, self._concurrency = model, concurrency
        self._client = openai.OpenAI(
            api_key=key or _NO_KEY, base_url=base_url, timeout=timeout, max_retries=retries
        )
        self._address = without_password(str(self._client.base_url).rstrip("/"))
        self._given_body = dict(extra_body or {})
        self._body: dict[str, Any] | None = None
        self._root: str | None = None  # what a vLLM server has loaded
        self._scorer: ServedScorer | None = None

    @property
    def fingerprint(self) -> str:
        """Name and address; what stands behind them cannot be seen from here."""
        return f"{self._model} at {self._address}"

    def __enter__(self) -> "OpenAIEngine":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to free here: the connections are the client's, and the
        engine may be asked again.
        """

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each request, `concurrency` requests at a time.

        Raises:
            RefusedRequests: the server refuses some requests, or an image cannot be read;
                the others are answered.
            NoLogprobs: log-probabilities are asked for and not given.
            UserError: the server is gone or refuses the key.
        """
        self._meet_server()
        asks = [partial(self._one, request, sampling) for request in requests]
        return all_answered(self._at_once(asks))

    def score(self, requests: Sequence[ScoringRequest]) -> list[list[ScoredAnswer]]:
        """See `interface.Engine.score` and `served_scoring`.

        Raises:
            RefusedRequests: the server refuses some requests, or an image cannot be
                read; the others are scored.
            NoLogprobs: no vLLM server, its tokenizer cannot be read here, or its chat
                template changes each answer.
            UserError: the server is gone or refuses the key.
        """
        self._meet_server()
        if self._root is None:
            raise NoLogprobs(
                f"{self.fingerprint} gives no log-probabilities of given text: "
                "only vLLM's server does"
            )
        if self._scorer is None:
            self._scorer = ServedScorer(read_tokenizer(self._root), self._posted, self.fingerprint)
        scored = self._at_once([partial(self._scorer.scored, request) for request in requests])
        if scored and all(isinstance(one, ChangedAnswer) for one in scored):
            raise NoLogprobs(str(scored[0]))
        return all_answered(scored)

    def _meet_server(self) -> None:
        if self._body is None:
            self._body = self._server_fields() | self._given_body

    def _at_once(self, asks: Sequence[Callable[[], _Reply]]) -> "list[_Reply | UserError]":
        """The result of each, or why the server refuses that request; `concurrency` at a time."""
        return at_once([partial(_or_refusal, ask) for ask in asks], self._concurrency)

    def _posted(self, turns: Sequence[Any], image: bytes | None, fields: dict[str, Any]) -> Any:
        """vLLM's reply to a chat that it is to add one token to."""
        import openai

        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=_messages(turns, image),
                temperature=0.0,
                max_tokens=1,
                extra_body=(self._body or {}) | fields,
            )
        except openai.OpenAIError as error:
            raise self._refusal(error) from error
        return reply

    def _server_fields(self) -> dict[str, Any]:
        """What vLLM's server must be told to answer as vLLM's offline engine does."""
        import openai

        try:
            served = {model.id: model for model in self._client.models.list()}
        except openai.NotFoundError:
            return {}  # no list of models: not vLLM
        except openai.OpenAIError as error:
            raise self._refusal(error) from error
        if self._model not in served:
            names = ", ".join(sorted(served)[:5])
            raise UserError(
                f"{self._address} serves no model {self._model!r}; it serves {names or 'none'}"
            )
        if served[self._model].owned_by != "vllm":
            return {}
        fields: dict[str, Any] = {"add_special_tokens": True}
        self._root = root = getattr(served[self._model], "root", None) or self._model
        if "bad_words" not in self._given_body and (texts := placeholder_texts_of(root)):
            fields["bad_words"] = texts
        return fields

    def _one(self, request: GenerationRequest, sampling: Sampling) -> list[Completion]:
        found: list[Completion] = []
        while len(found) < sampling.n:
            choices = self._ask(request, sampling, len(found))
            if not choices:
                raise UserError(f"{self._address} answered with no choice")
            found += [self._completion(choice, sampling) for choice in choices]
        return found[: sampling.n]

    def _ask(self, request: GenerationRequest, sampling: Sampling, given: int) -> list[Any]:
        import openai

        logprobs: dict[str, Any] = {}
        if sampling.top_logprobs:
            logprobs = {"logprobs": True, "top_logprobs": sampling.top_logprobs}
        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=_messages(request.messages, request.image),
                n=sampling.n - given,
                seed=request.seed + given,
                temperature=sampling.temperature,
                top_p=1.0,
                max_tokens=sampling.max_tokens,
                extra_body=self._body,
                **logprobs,
            )
        except openai.APIStatusError as error:
            reason = _first_line(error)
            # Some models refuse the parameter (400, OpenAI's own with 403),
            # and would in every request.
            if logprobs and error.status_code in (400, 403, 422) and "logprobs" in reason:
                raise NoLogprobs(
                    f"{self.fingerprint} gives no log-probabilities: {reason}"
                ) from error
            raise self._refusal(error) from error
        except openai.OpenAIError as error:
            raise self._refusal(error) from error
        return list(reply.choices or [])

    def _completion(self, choice: Any, sampling: Sampling) -> Completion:
        text, reason = _whole(choice.message.content or ""), choice.finish_reason or ""
        if not sampling.top_logprobs:
            return Completion(text, finish_reason=reason)
        if choice.logprobs is not None and not text and not choice.logprobs.content:
            return Completion(text, finish_reason=reason)  # an empty answer has no token to list
        if choice.logprobs is None or not choice.logprobs.content:
            raise NoLogprobs(
                f"{self.fingerprint} gives no log-probabilities: use a server and model that do, "
                "or what needs none (sampled votes, the SC, Verbal and VCAP protocols)"
            )
        return Completion(
            text,
            tuple(
                Token(
                    _whole(t.token),
                    t.logprob,
                    sum_by_text((_whole(top.token), top.logprob) for top in t.top_logprobs),
                )
                for t in choice.logprobs.content
            ),
            reason,
        )

    def _refusal(self, error: "openai.OpenAIError") -> UserError:
        import openai

        # A server may echo the key, or what its options hold.
        key = self._client.api_key
        options = [*passwords_in(str(self._client.base_url)), *texts_in(self._given_body)]
        keys = [*options, *([key] if key != _NO_KEY else [])]
        reason = without(_first_line(error), (), keys)
        if isinstance(error, openai.APITimeoutError):
            return UserError(
                f"{self._address} did not answer in time: raise timeout, or lower concurrency"
            )
        if isinstance(error, openai.APIConnectionError):
            return UserError(
                f"no server at {self._address} ({reason}){through_proxy(self._address)}: start "
                "it, or mend base_url"
            )
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return UserError(f"{self._address} refuses the API key: {reason}")
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            return _RefusedError(f"{self.fingerprint} refuses a request: {reason}")
        return UserError(f"{self.fingerprint} failed: {reason}")


_HALF = re.compile("[\ud800-\udfff]")


def _whole(text: str) -> str:
    """A text that can be written down: JSON can name half of a surrogate pair,
    a file cannot hold it.

    It becomes what a tokenizer makes of bytes that are no UTF-8.
    """
    return _HALF.sub("\ufffd", text)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _or_refusal(ask: Callable[[], _Reply]) -> "_Reply | UserError":
    try:
        return ask()
    except (_RefusedError, ChangedAnswer) as refusal:
        return refusal


def _messages(turns: Sequence[Mapping[str, Any]], image: bytes | None) -> Any:
    """OpenAI's turns for ours.

    Raises:
        _RefusedError: there is no image for an image part, or it cannot be read.
    """
    try:
        return [{**turn, "content": _content(turn["content"], image)} for turn in turns]
    except UserError as error:
        raise _RefusedError(str(error)) from error


def _content(content: Any, image: bytes | None) -> Any:
    """OpenAI's parts for ours: the image as a data URL."""
    if isinstance(content, str):
        return content
    return [part if part["type"] != "image" else _image_part(image) for part in content]


def _image_part(image: bytes | None) -> dict[str, Any]:
    if image is None:
        raise UserError("a request has an image part and no image")
    image = in_eight_bits_for_a_server(image)
    encoded = base64.b64encode(image).decode("ascii")
    return {
        "type": "image_url",
        "image_url": {"url": f"data:{media_type(image)};base64,{encoded}"},
    }
