"""Asking the model so that one request it refuses does not take the others with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_prep.engines import Completion, Engine, GenerationRequest, Sampling
from data_prep.questions import chat_content
from reward_fns.errors import UserError


@dataclass(frozen=True)
class Refused:
    """The model did not take this request (a prompt longer than it can read, ...)."""

    reason: str


def ask(engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling) -> list[list[Completion] | Refused]:
    """The completions of each request, in order, or why the model refuses it.

    A refused batch is halved until the requests that cause it stand alone.

    Raises:
        UserError: the model refuses every one of several requests: it is not the requests' fault.
    """
    if not requests:
        return []
    answers = _halving(engine, requests, sampling)
    first = answers[0]
    if len(answers) > 1 and isinstance(first, Refused) and all(isinstance(answer, Refused) for answer in answers):
        raise UserError(f"the model refuses all of {len(answers)} requests: {first.reason}")
    return answers


def _halving(
    engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling
) -> list[list[Completion] | Refused]:
    try:
        return list(engine.generate(requests, sampling))
    except UserError as error:
        if len(requests) == 1:
            return [Refused(str(error))]
    half = len(requests) // 2
    return [*_halving(engine, requests[:half], sampling), *_halving(engine, requests[half:], sampling)]


def image_request(text: str, image: bytes, seed: int) -> GenerationRequest:
    """One user turn: the image, then the text, as verl's rows have it."""
    return GenerationRequest([{"role": "user", "content": chat_content(f"<image>\n{text}")}], seed, image)
