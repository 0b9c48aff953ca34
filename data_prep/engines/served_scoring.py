"""Given answers scored by vLLM's server: each is sent as a turn to continue,
`prompt_logprobs` has its tokens' own.

What a chat template makes of a turn is its own affair. So the ids that the server scored are
compared with those of the prompt and of the answer (`scoring.answer_ids`): an answer counts
only if they are the same. Many templates write a blank before the turn's text, where a
generated answer begins with one: so the text is sent as it is, or without its first blanks,
whichever comes out right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.engines.interface import NoLogprobs, ScoredAnswer, ScoredToken, ScoringRequest
from data_prep.engines.scoring import answer_ids
from reward_fns.errors import UserError


class ChangedAnswer(UserError):
    """The server was shown another text than this prompt and answer."""


def read_tokenizer(served: str) -> Any:
    """The tokenizer of the model directory or hub name that a server says it has loaded.

    Raises:
        NoLogprobs: it cannot be read on this machine.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(served)
    except (OSError, ValueError) as error:
        raise NoLogprobs(
            f"the tokenizer of {served}, which is served, cannot be read here: given text can be "
            "scored only where it can"
        ) from error


@dataclass(frozen=True)
class ServedScorer:
    """One vLLM server's.

    Attributes:
        tokenizer: of the model that it serves.
        post: turns, image and fields of the request's body -> the reply.
        name: of model and server, for messages.
    """

    tokenizer: Any
    post: Callable[[Sequence[Any], bytes | None, dict[str, Any]], Any]
    name: str

    def scored(self, request: ScoringRequest) -> list[ScoredAnswer]:
        """Each answer of a request.

        Raises:
            ChangedAnswer: the chat template does not put an answer in as it is.
            NoLogprobs: the server names no token ids.
        """
        prompt = self._prompt_ids(self._post(request, add_generation_prompt=True))
        forms: tuple[bool, ...] = (False, True)
        found = []
        for answer in request.answers:
            form, scored = self._first_right(request, prompt, answer, forms)
            forms = (form,)  # right for one, right for all
            found.append(scored)
        return found

    def _first_right(
        self, request: ScoringRequest, prompt: list[int], answer: str, forms: Sequence[bool]
    ) -> tuple[bool, ScoredAnswer]:
        for form in forms:
            if scored := self._continued(request, prompt, answer, form):
                return form, scored
        raise ChangedAnswer(
            f"the chat template of {self.name} changes an answer that is to be continued: have "
            "given text scored by the model's directory"
        )

    def _continued(
        self, request: ScoringRequest, prompt: list[int], answer: str, stripped: bool
    ) -> ScoredAnswer | None:
        """The answer's tokens; None if the server was shown another text."""
        ids = answer_ids(self.tokenizer, self.tokenizer.decode(prompt), answer)
        text = (answer.lstrip() if stripped else answer) + self.tokenizer.eos_token
        reply = self._post(
            request,
            {"role": "assistant", "content": [{"type": "text", "text": text}]},
            prompt_logprobs=0,
            add_generation_prompt=False,
            continue_final_message=True,
        )
        if self._prompt_ids(reply) != [*prompt, *ids]:
            return None
        choices = reply.prompt_logprobs[-len(ids) :]
        return tuple(
            ScoredToken(i, c[str(i)]["logprob"]) for i, c in zip(ids, choices, strict=True)
        )

    def _post(self, request: ScoringRequest, *turns: dict[str, Any], **fields: Any) -> Any:
        turns = (*request.messages, *turns)
        return self.post(turns, request.image, fields | {"return_token_ids": True})

    def _prompt_ids(self, reply: Any) -> list[int]:
        ids = getattr(reply, "prompt_token_ids", None)
        if not ids:
            raise NoLogprobs(f"{self.name} names no token ids: vLLM's server does since 0.10")
        return list(ids)
