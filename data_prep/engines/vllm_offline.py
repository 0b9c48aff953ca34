"""vLLM's offline engine for one model at a time: images and chat turns in, texts out, batched and seeded.

The engine runs inside this process (no engine subprocess): with a small model on two free cores the first start takes
some 4 s after the imports, each further one under 1 s, and closing frees the memory, so that models can follow each
other.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read by vLLM at import. The log level hides start-up chatter (hundreds of lines a model); set it to INFO to see it.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt. `messages` holds content parts, with one {"type": "image"} part for the image."""

    image: bytes  # PNG or JPEG
    messages: list[dict[str, Any]]
    seed: int  # of this request alone, so that its answer does not depend on the batch around it


class Engine:
    """A loaded model; use as a context manager, which frees it.

    >>> with Engine(path) as engine:                                                # doctest: +SKIP
    ...     texts = engine.generate(requests, temperature=1.0, max_tokens=64)
    """

    def __init__(self, model: Path) -> None:
        """Load a model directory in hub layout, with its own maximum length, on the GPU if there is one."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import torch
        from transformers import AutoProcessor
        from vllm import LLM

        on_gpu = torch.cuda.is_available()
        self._processor = AutoProcessor.from_pretrained(model)
        self._llm = LLM(
            model=str(model),
            dtype="auto" if on_gpu else "float32",
            enforce_eager=not on_gpu,
            # vLLM 0.28 dies on a seeded request whose prefill is split ("CPU Generator does not use offset").
            enable_chunked_prefill=on_gpu,
            limit_mm_per_prompt={"image": 1},
            mm_processor_cache_gb=0,  # every image is asked about once or with n samples at a time
            seed=0,  # vLLM's global seed; answers are seeded request by request
        )

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the model; without the explicit shutdown vLLM keeps 1 GiB of key-value cache for each model."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        cleanup_dist_env_and_memory()

    def prompt(self, messages: list[dict[str, Any]]) -> str:
        """The processor's chat template over the turns, with one image placeholder (vLLM expands it)."""
        return self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)

    def generate(
        self, requests: Sequence[GenerationRequest], *, temperature: float, max_tokens: int, n: int = 1
    ) -> list[list[str]]:
        """n sampled texts for each request, special tokens left out; temperature 0 is greedy."""
        from PIL import Image
        from vllm import SamplingParams

        prompts = [
            {
                "prompt": self.prompt(request.messages),
                "multi_modal_data": {"image": Image.open(io.BytesIO(request.image)).convert("RGB")},
            }
            for request in requests
        ]
        sampling = [
            SamplingParams(n=n, temperature=temperature, max_tokens=max_tokens, seed=request.seed)
            for request in requests
        ]
        outputs = self._llm.generate(prompts, sampling, use_tqdm=False)
        return [[completion.text for completion in output.outputs] for output in outputs]
