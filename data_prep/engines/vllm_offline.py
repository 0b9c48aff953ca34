"""vLLM's offline engine: one model on this machine, inside this process, batched and seeded.

The model is loaded by the first question, so that an engine that is never asked costs nothing.
With a small model that takes some 10 s of imports, then 2 s for each model; leaving the context
frees the memory, so that models can follow each other.

Seeds: sample j of a request is drawn with seed `request.seed + j` by a generator of its own, so
that an answer depends on neither the batch nor on `n`. Log-probabilities are of the model itself,
whatever the temperature (vLLM's `raw_logprobs`), placeholder tokens included, which are never
drawn (`placeholders`). Prefixes are cached: the n answers of a request, and requests that share
image and beginning, compute the shared part once.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.engines.chat import chat_text, open_image
from data_prep.engines.first_token import TOP_LOGPROBS
from data_prep.engines.interface import (
    Completion,
    GenerationRequest,
    Sampling,
    ScoredAnswer,
    ScoredToken,
    ScoringRequest,
    Token,
    all_answered,
    sum_by_text,
)
from data_prep.engines.models import ReadyModel
from data_prep.engines.placeholders import never, placeholder_ids
from data_prep.engines.scoring import answer_ids
from reward_fns.errors import UserError

# Read by vLLM while it is imported and loads a model; what the user has set stays. The log level
# hides start-up chatter (hundreds of lines a model); set it to INFO to see it.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_SMALL = 200 * 2**20  # bytes of weights


class VllmEngine:
    """A model directory in hub layout, with its own maximum length, on the GPU if there is one.

    >>> with VllmEngine(prepare(spec, cache)) as engine:                            # doctest: +SKIP
    ...     answers = engine.generate(requests, Sampling(max_tokens=64, n=10))
    """

    def __init__(self, model: ReadyModel) -> None:
        self._model = model
        self._llm: Any = None
        self._processor: Any = None
        self._never: dict[int, float] = {}

    @property
    def fingerprint(self) -> str:
        """sha256 over the files that the model was made from."""
        return self._model.fingerprint

    def __enter__(self) -> "VllmEngine":
        return self

    def __exit__(self, *_: object) -> None:
        """Free the model; without the explicit shutdown vLLM keeps 1 GiB of key-value
        cache for each model.
        """
        if self._llm is None:
            return
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        self._llm = self._processor = None
        cleanup_dist_env_and_memory()

    def _load(self) -> None:
        with _environment():
            import torch
            from transformers import AutoConfig, AutoProcessor
            from vllm import LLM

            if not torch.cuda.is_available():
                _spare_a_small_model_the_threads(self._model.path)
            self._processor = AutoProcessor.from_pretrained(self._model.path)
            self._never = never(placeholder_ids(AutoConfig.from_pretrained(self._model.path)))
            try:
                self._llm = LLM(model=str(self._model.path), **engine_arguments())
            except (ValueError, RuntimeError, OSError) as error:
                reason = str(error).strip().splitlines()[0]
                raise UserError(
                    f"vLLM cannot load {self._model.path} ({reason}): a model that it does not "
                    "know needs the engine {kind: transformers, model: ...}"
                ) from error

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each request.

        Raises:
            RefusedRequests: a prompt is longer than the model takes, an image cannot be read;
                the others are answered.
            UserError: the model cannot be loaded.
        """
        if self._llm is None:
            self._load()
        import torch

        # vLLM compiles a helper of its log-probabilities, eager or not: seconds,
        # and with no gain on a CPU.
        with torch._dynamo.config.patch(disable=not torch.cuda.is_available()):
            refusals = [self._enqueue(request, sampling) for request in requests]
            outputs = iter(
                self._llm.wait_for_completion(use_tqdm=False)
            )  # in the order of what was taken
        return all_answered(
            [
                refusal
                or [_completion(answer, sampling.top_logprobs) for answer in next(outputs).outputs]
                for refusal in refusals
            ]
        )

    def score(self, requests: Sequence[ScoringRequest]) -> list[list[ScoredAnswer]]:
        """See `interface.Engine.score`. A forward pass an answer: vLLM reads no cached prefix here.

        Raises:
            RefusedRequests: a prompt is longer than the model takes, an image cannot be
                read; the others are scored.
            UserError: the model cannot be loaded.
        """
        if self._llm is None:
            self._load()
        import torch

        with torch._dynamo.config.patch(disable=not torch.cuda.is_available()):
            taken = [self._enqueue_answers(request) for request in requests]
            outputs = iter(self._llm.wait_for_completion(use_tqdm=False))
        scored: list[list[ScoredAnswer] | UserError] = []
        for rows in taken:
            found = [
                row if isinstance(row, UserError) else _scored(row, next(outputs)) for row in rows
            ]
            refused = next((one for one in found if isinstance(one, UserError)), None)
            scored.append(refused or [one for one in found if not isinstance(one, UserError)])
        return all_answered(scored)

    def _enqueue_answers(self, request: ScoringRequest) -> "list[list[int] | UserError]":
        """Hand each answer to vLLM; its ids, or why it cannot be."""
        from vllm import SamplingParams

        tokenizer = self._processor.tokenizer
        try:
            prompt, image = chat_text(self._processor, request.messages), open_image(request.image)
        except UserError as error:
            return [error]
        before = tokenizer(prompt).input_ids
        rows: list[list[int] | UserError] = []
        for answer in request.answers:
            ids = answer_ids(tokenizer, prompt, answer)
            given = {"prompt_token_ids": before + ids}
            if image is not None:
                given["multi_modal_data"] = {"image": image}
            rows.append(self._take(given, SamplingParams(**SCORING)) or ids)
        return rows

    def _enqueue(self, request: GenerationRequest, sampling: Sampling) -> UserError | None:
        """Hand the request to vLLM; why it cannot be, if so."""
        from vllm import SamplingParams

        parameters = SamplingParams(
            **sampling_arguments(sampling),
            n=sampling.n,
            seed=request.seed,
            logit_bias=self._never or None,
        )
        try:
            prompt = self._prompt(request)
        except UserError as error:
            return error
        return self._take(prompt, parameters)

    def _take(self, prompt: dict[str, Any], parameters: Any) -> UserError | None:
        from vllm.exceptions import VLLMClientError

        try:
            self._llm.enqueue(prompt, parameters, use_tqdm=False)
        except (VLLMClientError, ValueError) as error:
            return UserError(f"the model refuses a request: {str(error).splitlines()[0]}")
        return None

    def _prompt(self, request: GenerationRequest) -> dict[str, Any]:
        image = open_image(request.image)
        prompt = {"prompt": chat_text(self._processor, request.messages)}
        return prompt if image is None else prompt | {"multi_modal_data": {"image": image}}


@contextmanager
def _environment() -> Iterator[None]:
    """vLLM's settings, for this engine alone: processes started later (verl's
    vLLM) must not find them.
    """
    before = dict(os.environ)
    try:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        yield
    finally:
        for name in _ENVIRONMENT:
            if name not in before:
                os.environ.pop(name, None)


def engine_arguments() -> dict[str, Any]:
    """What vLLM is started with, here and in the replicas of a cluster."""
    import torch

    on_gpu = torch.cuda.is_available()
    return {
        "dtype": "auto" if on_gpu else "float32",
        "enforce_eager": not on_gpu,
        # vLLM 0.28 dies on a seeded request whose prefill is split ("CPU
        # Generator does not use offset").
        "enable_chunked_prefill": on_gpu,
        "enable_prefix_caching": True,
        "limit_mm_per_prompt": {"image": 1},
        # Requests about one image stand next to each other; vLLM's 4 GiB would fill with
        # images that do not return.
        "mm_processor_cache_gb": 0.25,
        "max_logprobs": TOP_LOGPROBS,
        "seed": 0,  # vLLM's global seed; answers are seeded request by request
    }


def sampling_arguments(sampling: Sampling) -> dict[str, Any]:
    """vLLM's sampling parameters but `n` and `seed`."""
    return {
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "logprobs": sampling.top_logprobs or None,
    }


SCORING = {"temperature": 0.0, "max_tokens": 1, "prompt_logprobs": 0, "detokenize": False}
"""Sampling parameters for given text: the log-probability of each of its tokens, and no other's."""


def _scored(ids: Sequence[int], output: Any) -> ScoredAnswer:
    """The last tokens of a prompt, which are the answer's."""
    choices = output.prompt_logprobs[-len(ids) :]
    return tuple(ScoredToken(i, c[i].logprob) for i, c in zip(ids, choices, strict=True))


def token(
    token_id: int, choices: Iterable[tuple[int, str, float, int]], top_logprobs: int
) -> Token:
    """From vLLM's choices at one position, as (token id, text, log-probability, rank); the
    drawn one is among them.
    """
    by_id = {choice[0]: choice for choice in choices}
    _, text, logprob, _ = by_id[token_id]
    # The drawn token stands there too where it is none of the most probable ones.
    return Token(
        text,
        logprob,
        sum_by_text((t, p) for _, t, p, rank in by_id.values() if rank <= top_logprobs),
    )


def _completion(output: Any, top_logprobs: int) -> Completion:
    if not top_logprobs:
        return Completion(output.text, finish_reason=output.finish_reason or "")
    tokens = (
        token(
            token_id,
            ((i, c.decoded_token, c.logprob, c.rank) for i, c in choices.items()),
            top_logprobs,
        )
        for token_id, choices in zip(output.token_ids, output.logprobs, strict=True)
    )
    return Completion(output.text, tuple(tokens), output.finish_reason or "")


def _spare_a_small_model_the_threads(path: Path) -> None:
    """One thread for a model whose matrix products are shorter than the meeting of
    threads after each of them.

    Measured with the pocket model (1.7 million parameters) on two cores that other work shares:
    two threads made each operation wait for the scheduler and cost 10 times the wall time of one.
    """
    import torch

    if sum(file.stat().st_size for file in path.glob("*.safetensors")) < _SMALL:
        torch.set_num_threads(1)
