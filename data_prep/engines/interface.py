"""What is asked of a model and what it answers, whatever serves it.

Log-probabilities are those of the model's own distribution, at temperature 1 and without
truncation, also where the text was sampled at another temperature.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from reward_fns.errors import UserError


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt.

    Attributes:
        messages: chat turns, the content of each a list of parts {"type": "text", "text":
            ...} or {"type": "image"}.
        seed: of this request alone, so that its answer depends neither on the batch
            around it nor on a resume.
        image: encoded file (PNG, JPEG, ...) for the one image part; None for a prompt of text.
    """

    messages: list[dict[str, Any]]
    seed: int
    image: bytes | None = None


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        temperature: >= 0; 0 is greedy.
        max_tokens: >= 1.
        n: answers a request, >= 1.
        top_logprobs: most probable tokens listed at each position, 0 to 20 (OpenAI's limit);
            0 gives no tokens at all.

    Raises:
        ValueError: a value out of range.
    """

    temperature: float = 1.0
    max_tokens: int = 64
    n: int = 1
    top_logprobs: int = 0

    def __post_init__(self) -> None:
        if (
            not self.temperature >= 0
            or self.max_tokens < 1
            or self.n < 1
            or not 0 <= self.top_logprobs <= 20
        ):
            raise ValueError(
                "sampling needs temperature >= 0, max_tokens >= 1, n >= 1 and 0 <= "
                f"top_logprobs <= 20, got {self}"
            )


@dataclass(frozen=True)
class Token:
    """One generated token, and the log-probabilities of the most probable tokens at
    its position by their text.

    Tokens with the same text are summed in `top`.
    """

    text: str
    logprob: float
    top: Mapping[str, float]


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        text: without special tokens.
        tokens: the end of sequence included, if asked for.
        finish_reason: "stop" at the end of sequence, "length" where it was cut off at `max_tokens`
            or at the model's last position, another word of a server's; "" if unknown.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    finish_reason: str = ""


@dataclass(frozen=True)
class ScoringRequest:
    """Answers to one prompt whose probabilities are wanted.

    Attributes:
        messages, image: the prompt, as in `GenerationRequest`.
        answers: texts without special tokens, at least one.
    """

    messages: list[dict[str, Any]]
    answers: tuple[str, ...]
    image: bytes | None = None


@dataclass(frozen=True)
class ScoredToken:
    """One token of a given answer: its id, and log p(token | prompt, the answer before it)."""

    id: int
    logprob: float


ScoredAnswer = tuple[ScoredToken, ...]
"""A given answer as the model's tokenizer writes it; the last token is the end of sequence."""


class NoLogprobs(UserError):
    """What serves the model gives no log-probabilities, or not those that were asked for."""


def sum_by_text(choices: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Log-probabilities by text; the probabilities of equal texts are added.

    >>> quarter, half = math.log(0.25), math.log(0.5)
    >>> sum_by_text([("Yes", quarter), ("No", half), ("Yes", quarter)])["Yes"] == half
    True
    """
    total: dict[str, float] = {}
    for text, logprob in choices:
        before = total.get(text)
        if before is None:
            total[text] = logprob
        else:
            high, low = max(before, logprob), min(before, logprob)
            total[text] = high if low == -math.inf else high + math.log1p(math.exp(low - high))
    return total


class RefusedRequests(UserError):
    """Some requests of a batch cannot be answered (a prompt too long, an unreadable
    image, ...), the others are.

    Attributes:
        answers: for each request its completions (or scored answers), or why it was refused.
    """

    def __init__(self, answers: "Sequence[list[Any] | UserError]") -> None:
        refused = [answer for answer in answers if isinstance(answer, UserError)]
        many = (
            f"{len(refused)} of {len(answers)} requests refused, the first: "
            if len(answers) > 1
            else ""
        )
        super().__init__(f"{many}{refused[0]}")
        self.answers = list(answers)


_Answer = TypeVar("_Answer", Completion, ScoredAnswer)


def all_answered(answers: "Sequence[list[_Answer] | UserError]") -> list[list[_Answer]]:
    """The answers, if every request has one.

    Raises:
        RefusedRequests: some have none.
    """
    given = [answer for answer in answers if not isinstance(answer, UserError)]
    if len(given) < len(answers):
        raise RefusedRequests(answers)
    return given


class Engine(Protocol):
    """A loaded or served model; a context manager that frees it.

    Opening checks what can be checked at once and knows the fingerprint; a model is
    loaded by the first `generate`. Nothing that was answered is kept, so callers ask in
    batches that bound the memory.
    """

    @property
    def fingerprint(self) -> str:
        """Identifies the weights: a hash of the files, or the served model's name and address."""
        ...

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each request, in the order of the requests.

        Raises:
            RefusedRequests: some requests cannot be answered; the error holds
                the answers to the others.
            NoLogprobs: log-probabilities are asked for and not given.
            UserError: nothing can be answered (the model cannot be loaded, the server is gone).
        """
        ...

    def score(self, requests: Sequence[ScoringRequest]) -> list[list[ScoredAnswer]]:
        """Each answer of each request token by token, exact, with the end of sequence behind it.

        Nothing is drawn. The tokens are those that the tokenizer makes of the text (`scoring`).

        Raises:
            RefusedRequests: some requests cannot be scored; the error holds the others.
            NoLogprobs: what serves the model does not score given text.
            UserError: nothing can be scored.
        """
        ...

    def __enter__(self) -> "Engine": ...

    def __exit__(self, *_: object) -> None: ...
