"""vLLM's offline engine: one model on this machine, inside this process, batched and seeded.

The model is loaded by the first question, so that an engine that is never asked costs nothing. With a small model on
two free cores that takes some 4 s after the imports, for each further model under 1 s; leaving the context frees the
memory, so that models can follow each other.

Seeds: sample j of a request is drawn with seed `request.seed + j` by a generator of its own, so that an answer depends
on neither the batch nor on `n`. Log-probabilities are of the model itself, whatever the temperature
(vLLM's `raw_logprobs`). Prefixes are cached: the n answers of a request, and requests that share image and beginning,
compute the shared part once.
"""

import io
import os
from collections.abc import Iterable, Sequence
from typing import Any

from data_prep.engines.interface import Completion, GenerationRequest, Sampling, Token, sum_by_text
from data_prep.engines.models import ReadyModel
from reward_fns.errors import UserError

# Read by vLLM at import. The log level hides start-up chatter (hundreds of lines a model); set it to INFO to see it.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class VllmEngine:
    """A model directory in hub layout, with its own maximum length, on the GPU if there is one.

    >>> with VllmEngine(prepare(spec, cache)) as engine:                            # doctest: +SKIP
    ...     answers = engine.generate(requests, Sampling(max_tokens=64, n=10))
    """

    def __init__(self, model: ReadyModel) -> None:
        self._model = model
        self._llm: Any = None
        self._processor: Any = None

    @property
    def fingerprint(self) -> str:
        """sha256 over the files that the model was made from."""
        return self._model.fingerprint

    def __enter__(self) -> "VllmEngine":
        return self

    def __exit__(self, *_: object) -> None:
        """Free the model; without the explicit shutdown vLLM keeps 1 GiB of key-value cache for each model."""
        if self._llm is None:
            return
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        self._llm = self._processor = None
        cleanup_dist_env_and_memory()

    def _load(self) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import torch
        from transformers import AutoProcessor
        from vllm import LLM

        on_gpu = torch.cuda.is_available()
        self._processor = AutoProcessor.from_pretrained(self._model.path)
        self._llm = LLM(
            model=str(self._model.path),
            dtype="auto" if on_gpu else "float32",
            enforce_eager=not on_gpu,
            # vLLM 0.28 dies on a seeded request whose prefill is split ("CPU Generator does not use offset").
            enable_chunked_prefill=on_gpu,
            enable_prefix_caching=True,
            limit_mm_per_prompt={"image": 1},
            max_logprobs=20,
            seed=0,  # vLLM's global seed; answers are seeded request by request
        )

    def generate(self, requests: Sequence[GenerationRequest], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each request.

        Raises:
            UserError: vLLM refuses a request (a prompt longer than the model takes, ...).
        """
        if self._llm is None:
            self._load()
        from vllm import SamplingParams
        from vllm.exceptions import VLLMValidationError

        parameters = [
            SamplingParams(
                n=sampling.n,
                temperature=sampling.temperature,
                max_tokens=sampling.max_tokens,
                seed=request.seed,
                logprobs=sampling.top_logprobs or None,
            )
            for request in requests
        ]
        try:
            outputs = self._llm.generate([self._prompt(request) for request in requests], parameters, use_tqdm=False)
        except (VLLMValidationError, ValueError) as error:
            raise UserError(f"{self._model.path}: {str(error).splitlines()[0]}") from error
        return [[_completion(answer, sampling.top_logprobs) for answer in output.outputs] for output in outputs]

    def _prompt(self, request: GenerationRequest) -> dict[str, Any]:
        """The processor's chat template over the turns, with one image placeholder, which vLLM expands."""
        from PIL import Image

        text = self._processor.apply_chat_template(request.messages, add_generation_prompt=True, tokenize=False)
        if request.image is None:
            return {"prompt": text}
        image = Image.open(io.BytesIO(request.image)).convert("RGB")
        return {"prompt": text, "multi_modal_data": {"image": image}}


def _completion(output: Any, top_logprobs: int) -> Completion:
    if not top_logprobs:
        return Completion(output.text)
    return Completion(
        output.text,
        tuple(
            _token(choices[token_id], choices.values(), top_logprobs)
            for token_id, choices in zip(output.token_ids, output.logprobs, strict=True)
        ),
    )


def _token(drawn: Any, choices: Iterable[Any], top_logprobs: int) -> Token:
    # vLLM adds the drawn token to the most probable ones where it is none of them.
    top = sum_by_text((choice.decoded_token, choice.logprob) for choice in choices if choice.rank <= top_logprobs)
    return Token(drawn.decoded_token, drawn.logprob, top)
