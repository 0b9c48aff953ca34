"""Asking the model so that one request it refuses does not take the others with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_prep.engines import Completion, Engine, GenerationRequest, RefusedRequests, Sampling
from data_prep.verl_rows import chat_content
from reward_fns.errors import UserError

HOPELESS = 20
"""A batch of so many requests or more that is refused as a whole ends the run: it is
not the requests' fault.
"""


@dataclass(frozen=True)
class Refused:
    """The model did not take this request (a prompt longer than it can read, ...)."""

    reason: str


def ask(
    engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling
) -> list[list[Completion] | Refused]:
    """The completions of each request, in order, or why the model refuses it.

    Raises:
        UserError: the model answers nothing.
    """
    if not requests:
        return []
    try:
        return list(engine.generate(requests, sampling))
    except RefusedRequests as error:
        answers = [
            Refused(str(answer)) if isinstance(answer, UserError) else answer
            for answer in error.answers
        ]
        if len(answers) >= HOPELESS and all(isinstance(answer, Refused) for answer in answers):
            raise
        return answers


def image_request(text: str, image: bytes, seed: int) -> GenerationRequest:
    """One user turn: the image, then the text, as verl's rows have it."""
    return GenerationRequest(
        [{"role": "user", "content": chat_content(f"<image>\n{text}")}], seed, image
    )
