"""Scoring given answers by transformers' forward pass: their common beginning once, then the ends
in batches.
"""

import copy
from collections.abc import Sequence
from typing import Any

from data_prep.engines.interface import ScoredAnswer, ScoredToken
from data_prep.engines.scoring import answer_ids, shared_start


class ForwardScorer:
    """A loaded model.

    Args:
        model: of transformers.
        tokenizer: its own, with a padding token.
        batch_size: ends that are scored together, >= 1.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_size: int) -> None:
        self._model, self._tokenizer, self._batch_size = model, tokenizer, batch_size

    def scored(
        self, prompt: str, inputs: Any, answers: Sequence[str], limit: int
    ) -> list[ScoredAnswer] | None:
        """log p of each token of each answer; None if prompt and answer have more than `limit`.

        Args:
            prompt: its text (`chat.chat_text`).
            inputs: what the processor makes of it, one row.
        """
        import torch

        answered = [answer_ids(self._tokenizer, prompt, answer) for answer in answers]
        # The last token of the shortest is always scored as an end.
        shared = min(shared_start(answered), min(map(len, answered)) - 1)
        length = inputs["input_ids"].shape[1]
        if length + max(map(len, answered)) > limit:
            return None
        with torch.inference_mode():
            start = self._model(**longer(inputs, answered[0][:shared]), use_cache=True)
            first = logprobs_of(start.logits[0, length - 1 :])  # (shared + 1, V)
            ends = []
            for at in range(0, len(answered), self._batch_size):
                rows = [ids[shared:] for ids in answered[at : at + self._batch_size]]
                ends += self._ends_scored(rows, start.past_key_values, length + shared)
        found = []
        for ids, later in zip(answered, ends, strict=True):
            logprobs = [first[i, ids[i]].item() for i in range(shared + 1)] + later
            found.append(tuple(ScoredToken(*one) for one in zip(ids, logprobs, strict=True)))
        return found

    def _ends_scored(self, rows: list[list[int]], cache: Any, before: int) -> list[list[float]]:
        """log p of the tokens of each row but its first, behind `before` cached positions."""
        import torch

        longest = max(map(len, rows))
        if longest == 1:
            return [[] for _ in rows]
        pad = self._tokenizer.pad_token_id
        # On the right, where no real token looks.
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows]).to(
            self._model.device
        )
        own = copy.deepcopy(cache)
        own.batch_repeat_interleave(len(rows))
        output = self._model(
            input_ids=ids,
            attention_mask=torch.ones(len(rows), before + longest).to(ids),
            past_key_values=own,
        )
        logprobs = logprobs_of(output.logits)  # (rows, longest, V)
        return [
            [logprobs[n, i - 1, row[i]].item() for i in range(1, len(row))]
            for n, row in enumerate(rows)
        ]


def longer(inputs: Any, ids: Sequence[int]) -> dict[str, Any]:
    """Inputs of one row with text tokens behind it; what has a value a token (a
    mask, types) goes on.
    """
    import torch

    shape = inputs["input_ids"].shape
    end = torch.tensor([ids], dtype=torch.long).to(inputs["input_ids"].device)
    ends = {"input_ids": end, "attention_mask": torch.ones_like(end)}
    found = dict(inputs)
    for name, value in inputs.items():
        if getattr(value, "shape", None) == shape:
            more = ends.get(name, torch.zeros_like(end))
            found[name] = torch.cat([value, more.to(value.dtype)], 1)
    return found


def logprobs_of(logits: Any) -> Any:
    """log softmax over the vocabulary, in float32."""
    import torch

    return torch.log_softmax(logits.float(), -1)
