"""The draw of one token a row with transformers, each row from a generator of its own, and
its log-probabilities.
"""

from collections.abc import Sequence
from typing import Any

from data_prep.engines.interface import Sampling, Token, sum_by_text
from data_prep.engines.steering import Adjust

_BLANK = "▁"  # how SentencePiece writes the blank before a word


class Draw:
    """A logits processor for `model.generate`: leaves the drawn token of each row and
    notes its probabilities.

    Args:
        seeds: one a row of the batch.
        never: ids that are not drawn (`placeholders`); their
            log-probabilities are noted all the same.
        adjust: from the model's logits to those that are drawn from; noted are the model's.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        sampling: Sampling,
        never: Sequence[int] = (),
        adjust: Adjust | None = None,
    ) -> None:
        self._seeds, self._sampling, self._never = seeds, sampling, list(never)
        self._adjust = adjust
        self._generators: list[Any] = []
        self._steps: list[
            tuple[Any, Any, Any]
        ] = []  # log p of the drawn (B,), top log p (B, k), their tokens (B, k)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """From the model's logits (B, V) to 0 at the drawn token and -inf elsewhere."""
        import torch

        adjusted = scores if self._adjust is None else self._adjust(input_ids, scores)
        allowed = adjusted.float().clone()
        allowed[:, self._never] = -torch.inf
        if self._sampling.temperature == 0:
            drawn = allowed.argmax(-1, keepdim=True)
        else:
            probabilities = torch.softmax(allowed / self._sampling.temperature, -1)
            drawn = (probabilities / self._exponentials(scores)).argmax(-1, keepdim=True)
        if self._sampling.top_logprobs:
            logprobs = torch.log_softmax(scores.float(), -1)
            top = logprobs.topk(min(self._sampling.top_logprobs, logprobs.shape[-1]), -1)
            self._steps.append(
                (logprobs.gather(-1, drawn)[:, 0].cpu(), top.values.cpu(), top.indices.cpu())
            )
        return torch.full_like(scores, -torch.inf).scatter_(-1, drawn, 0.0)

    def _exponentials(self, scores: Any) -> Any:
        import torch

        if not self._generators:
            self._generators = [
                torch.Generator(scores.device).manual_seed(seed) for seed in self._seeds
            ]
        q = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(q, self._generators, strict=True):
            row.exponential_(generator=generator)
        return q

    def tokens(self, row: int, ids: Sequence[int], tokenizer: Any) -> tuple[Token, ...]:
        """The tokens of one row, given the ids that it generated; none if no
        log-probabilities were asked for.
        """
        return tuple(
            _token(token_id, drawn[row], top[row], ids_[row], tokenizer)
            for token_id, (drawn, top, ids_) in zip(ids, self._steps, strict=False)
        )


def text_tokens(logprobs: Any, ids: Sequence[int], top: int, tokenizer: Any) -> tuple[Token, ...]:
    """The tokens `ids` of one answer, given the log-probabilities (T, V) at their positions."""
    most = logprobs.topk(min(top, logprobs.shape[-1]), -1)
    return tuple(
        _token(token_id, logprobs[i, token_id], most.values[i], most.indices[i], tokenizer)
        for i, token_id in enumerate(ids)
    )


def _token(token_id: int, logprob: Any, top: Any, top_ids: Any, tokenizer: Any) -> Token:
    choices = zip(top_ids.tolist(), top.tolist(), strict=True)
    by_text = sum_by_text((_text(i, tokenizer), p) for i, p in choices)
    return Token(_text(token_id, tokenizer), logprob.item(), by_text)


def _text(token_id: int, tokenizer: Any) -> str:
    """A token's text with the blank before it, which decoding a SentencePiece token alone drops."""
    text: str = tokenizer.decode([token_id])
    if tokenizer.convert_ids_to_tokens(token_id).startswith(_BLANK) and not text.startswith(" "):
        return " " + text
    return text
