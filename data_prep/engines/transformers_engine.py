"""transformers' own generation, for models that vLLM cannot load: batched, seeded, slower.

Sample j of a request is drawn by a generator of its own, seeded with `request.seed + j`, so that
an answer is the same in every batch, but for ties within the rounding of the padded forward pass
(about 1e-6 in float32). The draw is vLLM's,

    token = argmax_v p_v / q_v,  p = softmax(logits / temperature),  q_v exponential with mean 1,

which is a draw from p: on a CPU both engines give the same samples, again up to ties.

Prompts are padded on the left to the longest of a batch; requests with an image and those without
are asked apart. The option `decoding` changes how tokens are chosen (`steering`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_prep.engines.chat import chat_text, open_image
from data_prep.engines.forward_scoring import ForwardScorer, logprobs_of, longer
from data_prep.engines.interface import (
    Completion,
    GenerationRequest,
    Sampling,
    ScoredAnswer,
    ScoringRequest,
    Token,
    all_answered,
)
from data_prep.engines.models import ReadyModel
from data_prep.engines.placeholders import placeholder_ids
from data_prep.engines.seeded_draw import Draw, text_tokens
from data_prep.engines.steering import DecodingMethod, PlainDecoding, Search
from reward_fns.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


class TransformersEngine:
    """A model directory, on the GPU if there is one.

    Args:
        batch_size: answers that are generated together, >= 1.
        decoding: how tokens are chosen; None for the model as it is.

    Raises:
        UserError: batch_size out of range.
    """

    def __init__(
        self, model: ReadyModel, batch_size: int = 32, decoding: DecodingMethod | None = None
    ) -> None:
        if batch_size < 1:
            raise UserError(f"the transformers engine needs batch_size >= 1, got {batch_size}")
        self._directory, self._batch_size = model, batch_size
        self._decoding = decoding or PlainDecoding()
        self._model: Any = None
        self._processor: Any = None
        self._limit = 0  # positions that the model has
        self._ends: list[int] = []  # ids that end a sequence
        self._never: tuple[int, ...] = ()  # ids that no answer may hold

    @property
    def fingerprint(self) -> str:
        """sha256 over the files that the model was made from."""
        return self._directory.fingerprint

    def __enter__(self) -> "TransformersEngine":
        return self

    def __exit__(self, *_: object) -> None:
        """Free the model."""
        self._model = self._processor = None

    def _load(self) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        on_gpu = torch.cuda.is_available()
        path = self._directory.path
        try:
            model = AutoModelForImageTextToText.from_pretrained(
                path, dtype="auto" if on_gpu else torch.float32
            )
            self._processor = AutoProcessor.from_pretrained(path)
        except (ValueError, RuntimeError, OSError) as error:
            raise UserError(
                f"transformers cannot load {path}: {str(error).strip().splitlines()[0]}"
            ) from error
        self._model = model.to("cuda" if on_gpu else "cpu").eval()
        self._processor.tokenizer.padding_side = "left"
        if self._processor.tokenizer.pad_token is None:
            self._processor.tokenizer.pad_token = self._processor.tokenizer.eos_token
        self._limit = model.config.get_text_config().max_position_embeddings
        self._never = placeholder_ids(model.config)
        ends = model.generation_config.eos_token_id
        self._ends = [ends] if isinstance(ends, int) else list(ends or ())

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each request, `batch_size` at a time.

        Raises:
            RefusedRequests: a prompt is longer than the model takes, an image cannot be read;
                the others are answered.
            UserError: the model cannot be loaded.
        """
        if self._model is None:
            self._load()
        prompts = [self._prompt(request) for request in requests]
        answers: list[list[Completion] | UserError] = [
            p if isinstance(p, UserError) else [] for p in prompts
        ]
        readable = [(number, p) for number, p in enumerate(prompts) if not isinstance(p, UserError)]
        for with_image in (True, False):
            kind = [(n, p) for n, p in readable if (p.image is not None) == with_image]
            rows = [_Row(n, requests[n].seed + j, p) for n, p in kind for j in range(sampling.n)]
            for start in range(0, len(rows), self._batch_size):
                self._batch(rows[start : start + self._batch_size], sampling, answers)
        return all_answered(answers)

    def score(self, requests: Sequence[ScoringRequest]) -> list[list[ScoredAnswer]]:
        """See `interface.Engine.score` and `forward_scoring`.

        Raises:
            RefusedRequests: a prompt is longer than the model takes, an image cannot be
                read; the others are scored.
            UserError: the model cannot be loaded.
        """
        if self._model is None:
            self._load()
        scored: list[list[ScoredAnswer] | UserError] = []
        for request in requests:
            prompt = self._prompt(request)
            scored.append(
                prompt if isinstance(prompt, UserError) else self._scored(prompt, request.answers)
            )
        return all_answered(scored)

    def _scored(
        self, prompt: "_Prompt", answers: Sequence[str]
    ) -> "list[ScoredAnswer] | UserError":
        scorer = ForwardScorer(self._model, self._processor.tokenizer, self._batch_size)
        inputs = self._inputs([_Row(0, 0, prompt)])
        scored = scorer.scored(prompt.text, inputs, answers, self._limit)
        return self._too_long() if scored is None else scored

    def _too_long(self) -> UserError:
        return UserError(
            f"the model refuses a request: its prompt has {self._limit} tokens or more"
        )

    def _prompt(self, request: GenerationRequest | ScoringRequest) -> "_Prompt | UserError":
        try:
            return _Prompt(chat_text(self._processor, request.messages), open_image(request.image))
        except UserError as error:
            return error

    def _batch(
        self,
        rows: "Sequence[_Row]",
        sampling: Sampling,
        answers: list[list[Completion] | UserError],
    ) -> None:
        """Append the rows' completions to the answers of their requests; what is too
        long becomes a refusal.
        """
        inputs = self._inputs(rows)
        lengths = inputs["attention_mask"].sum(1).tolist()
        if too_long := [
            row for row, length in zip(rows, lengths, strict=True) if length >= self._limit
        ]:
            for row in too_long:
                answers[row.number] = self._too_long()
            if rest := [
                row for row, length in zip(rows, lengths, strict=True) if length < self._limit
            ]:
                self._batch(rest, sampling, answers)
            return
        room = [min(sampling.max_tokens, self._limit - length) for length in lengths]
        seeds = [row.seed for row in rows]
        steering = self._decoding.steering(self._model, inputs, seeds, sampling)
        draw = Draw(seeds, sampling, self._never, steering.adjust)
        generated = (
            self._generated(inputs, draw, max(room))
            if steering.search is None
            else self._searched(inputs, steering.search, max(room))
        )
        tokenizer = self._processor.tokenizer
        for number, (row, ids, most) in enumerate(zip(rows, generated, room, strict=True)):
            ids = _ended(ids[:most], self._ends)
            into = answers[row.number]
            assert isinstance(into, list)  # a refused request has no rows left
            reason = "stop" if ids and ids[-1] in self._ends else "length"
            if steering.search is None:
                tokens = draw.tokens(number, ids, tokenizer)
            else:
                tokens = self._read_tokens(row, ids, sampling.top_logprobs)
            into.append(Completion(_text(ids, tokenizer), tokens, reason))

    def _inputs(self, rows: "Sequence[_Row]") -> Any:
        images = [[row.prompt.image] for row in rows if row.prompt.image is not None]
        given = {"images": images} if images else {}
        texts = [row.prompt.text for row in rows]
        return self._processor(text=texts, padding=True, return_tensors="pt", **given).to(
            self._model.device
        )

    def _generated(self, inputs: Any, draw: Draw, max_tokens: int) -> list[list[int]]:
        """Ids of the answers, padded on the right."""
        # `Draw` leaves one token to choose.
        return self._from_generate(inputs, max_tokens, draw)

    def _searched(self, inputs: Any, search: Search, max_tokens: int) -> list[list[int]]:
        """As `_generated`, of a search that draws nothing."""
        from transformers import SuppressTokensLogitsProcessor

        never = SuppressTokensLogitsProcessor(list(self._never), self._model.device)
        return self._from_generate(inputs, max_tokens, never, custom_generate=search)

    def _from_generate(
        self, inputs: Any, max_tokens: int, processor: Any, **options: Any
    ) -> list[list[int]]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        config = GenerationConfig(
            do_sample=False,
            repetition_penalty=1.0,  # else the model's own default
            max_new_tokens=max_tokens,
            eos_token_id=self._ends,
            pad_token_id=self._processor.tokenizer.pad_token_id,
        )
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                generation_config=config,
                logits_processor=LogitsProcessorList([processor]),
                **options,
            )
        ids: list[list[int]] = output[:, inputs["input_ids"].shape[1] :].tolist()
        return ids

    def _read_tokens(self, row: "_Row", ids: Sequence[int], top: int) -> tuple[Token, ...]:
        """The tokens of an answer that was searched for, by one more forward pass over it."""
        import torch

        if not top or not ids:
            return ()
        inputs = self._inputs([row])
        length = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            logits = self._model(**longer(inputs, ids)).logits[0, length - 1 : -1]
        return text_tokens(logprobs_of(logits), ids, top, self._processor.tokenizer)


@dataclass(frozen=True)
class _Prompt:
    text: str
    image: "Image | None"


@dataclass(frozen=True)
class _Row:
    """One answer to generate."""

    number: int  # of the request
    seed: int
    prompt: _Prompt


def _ended(ids: list[int], ends: Collection[int]) -> list[int]:
    """The ids up to the first end of sequence, it included."""
    return next((ids[: i + 1] for i, token in enumerate(ids) if token in ends), ids)


def _text(ids: list[int], tokenizer: Any) -> str:
    # Bytes of an unfinished character at the end are no text yet; vLLM holds them back too.
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    return text.rstrip("\ufffd")
