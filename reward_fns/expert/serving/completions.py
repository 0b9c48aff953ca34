"""What a server's reply holds, and what it means that it holds no text.

| reply | meaning |
|---|---|
| text | read as a verdict (`prompting.replies`) |
| cut off by the token limit, and no verdict | this request has failed (reason "length") |
| a refusal; stopped by a content filter, and no verdict | this request has failed |
| | (reasons "refusal", "content_filter") |
| nothing but reasoning, or nothing | another attempt (reason "empty") |
| no chat completion | another attempt (reason "malformed") |

What would be the same another time is not tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reward_fns.expert.errors import ExpertError, TransientError
from reward_fns.expert.requests import Usage


@dataclass(frozen=True)
class Reply:
    """What a server replied.

    Attributes:
        content: the text; None where there is none.
        model: the identity that the server states.
        usage: the tokens; 0 where the server counts none.
        logprobs: whether log-probabilities came along.
        finish: why the reply ended, as the server says: "stop", "length", "content_filter", ...;
            "" if it does not.
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

    @property
    def text(self) -> str:
        """The text.

        Raises:
            ExpertError: there is none, and there would be none another time.
            TransientError: there is none.
        """
        if self.content is not None and not self.refusal:
            return self.content
        if (ended := self.ended_early) is not None:
            raise ended
        if self.refusal:
            raise ExpertError(f"{self.model} refuses to judge this answer", "refusal")
        what = "nothing but reasoning" if self.reasoning else "no text"
        raise TransientError(f"{self.model} sent {what}", "empty")

    @property
    def ended_early(self) -> ExpertError | None:
        """Why a reply without a verdict has none, if something ended it; None if nothing did."""
        if self.finish == "length":
            thought = " Reasoning counts too." if self.reasoning or self.content is None else ""
            return ExpertError(
                f"the reply of {self.model} was cut off at the token limit after "
                f"{self.usage.completion_tokens} tokens: raise max_completion_tokens "
                f"(or max_tokens) in the expert's parameters.{thought}",
                "length",
            )
        if self.finish == "content_filter":
            return ExpertError(
                f"the content filter of {self.model} stopped the reply", "content_filter"
            )
        return None


def reply_of(completion: Any, asked: str) -> Reply:
    """The reply that a chat completion holds, whatever the server sent in its place.

    Args:
        asked: the model's name, for a server that states none.

    Raises:
        TransientError: it is no chat completion.
    """
    choices = getattr(completion, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = getattr(choice, "message", None)
    if message is None or not isinstance(message.content, str | list | None):
        raise TransientError(
            f"expert {asked} sent a malformed body (no chat completion)", "malformed"
        )
    model = completion.model
    return Reply(
        content=_content(message.content),
        model=model if isinstance(model, str) and model else asked,
        usage=_usage(getattr(completion, "usage", None)),
        logprobs=getattr(choice, "logprobs", None) is not None,
        finish=str(getattr(choice, "finish_reason", None) or ""),
        refusal=bool(getattr(message, "refusal", None)),
        # DeepSeek and older vLLM say the first, Ollama, OpenRouter and newer vLLM the second.
        reasoning=any(getattr(message, name, None) for name in ("reasoning_content", "reasoning")),
    )


def _content(content: Any) -> str | None:
    """A message's text, which some servers send as a list of parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "".join(text for text in parts if isinstance(text, str))
    return content if isinstance(content, str) and content.strip() else None


MOST_TOKENS = 10_000_000
"""Of one call. A count above is none: believed, it would pace the next call by centuries."""


def _usage(tokens: Any) -> Usage:
    return Usage(
        prompt_tokens=_count(getattr(tokens, "prompt_tokens", None)),
        completion_tokens=_count(getattr(tokens, "completion_tokens", None)),
    )


def _count(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= MOST_TOKENS else 0
