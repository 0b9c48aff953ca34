"""The same requests on a cluster: Ray Data's own vLLM processor (`ray.data.llm`), streaming, with several replicas.

    {"kind": "ray", "model": MODEL, "concurrency": 8, "batch_size": 64, "address": null}

Each call of `generate` is one Ray Data run: rows stream through `concurrency` replicas of the model, a GPU each, and
come back in order. The replicas start with the call (a minute and more with a large model), so ask for many requests at
a time (steps and protocols have a batch size for it). Sample j of a request is a row of its own with seed
`request.seed + j`, as in the offline engine, whose answers these are; the replicas' prefix caches share the prompt.

A cluster is found by `address` ("auto", "ray://HOST:10001"); without one Ray starts on this machine. Where there is no
GPU the replica takes a logical one. The model directory must be readable on every node.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

from data_prep.engines import vllm_offline
from data_prep.engines.chat import chat_text, open_image
from data_prep.engines.interface import Completion, GenerationRequest, Sampling, all_answered
from data_prep.engines.models import ReadyModel
from data_prep.engines.placeholders import placeholder_texts
from reward_fns.errors import UserError

_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


class RayEngine:
    """A model directory on a Ray cluster.

    Args:
        concurrency: replicas, >= 1.
        batch_size: rows that a replica takes at a time, >= 1.
        address: of a running cluster; None starts Ray here, if this process has not joined one yet.

    Raises:
        UserError: a value out of range.
    """

    def __init__(
        self,
        model: ReadyModel,
        concurrency: int = 1,
        batch_size: int = 64,
        address: str | None = None,
    ) -> None:
        if concurrency < 1 or batch_size < 1:
            raise UserError("the ray engine needs concurrency >= 1 and batch_size >= 1")
        self._model, self._concurrency, self._batch_size, self._address = (
            model,
            concurrency,
            batch_size,
            address,
        )
        self._processor: Any = None
        self._never: list[str] = []

    @property
    def fingerprint(self) -> str:
        """sha256 over the files that the model was made from."""
        return self._model.fingerprint

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to free: the replicas end with each call."""

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each request.

        Raises:
            RefusedRequests: a prompt is longer than the model takes, an image cannot be read; the others are answered.
            UserError: the cluster has too few GPUs, or the run failed as a whole.
        """
        import ray
        from ray.data.llm import build_processor
        from ray.exceptions import RayError

        if self._processor is None:
            self._start()
        rows, refused = self._rows(requests, sampling)
        found: dict[tuple[int, int], Completion] = {}
        try:
            # A row holds all that its request needs, so that it can go to any node; images are opened there.
            pipeline = build_processor(self._config(), preprocess=_opened, postprocess=_kept)
            for row in pipeline(ray.data.from_items(rows)).iter_rows() if rows else ():
                if reason := row.get("__inference_error__"):
                    refused[row["number"]] = UserError(
                        f"the model refuses a request: {reason.splitlines()[0]}"
                    )
                else:
                    found[row["number"], row["sample"]] = _completion(
                        json.loads(row["answer"]), sampling.top_logprobs
                    )
        except RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"the Ray run failed ({reason}): the logs of the replicas say more"
            ) from error
        return all_answered(
            [
                refused[i] if i in refused else [found[i, j] for j in range(sampling.n)]
                for i in range(len(requests))
            ]
        )

    def _start(self) -> None:
        """Join or start Ray, and see that it has a GPU, real or logical, for each replica."""
        import ray
        import ray.data
        import torch
        from transformers import AutoConfig, AutoProcessor

        if not ray.is_initialized():
            logical = None if self._address or torch.cuda.is_available() else self._concurrency
            ray.init(
                address=self._address,
                num_gpus=logical,
                log_to_driver=False,
                logging_level="WARNING",
            )
        # The caller shows the progress; Ray's own would be a page of text every ten seconds.
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if gpus < self._concurrency:
            raise UserError(
                f"{self._concurrency} replicas need as many GPUs, the Ray cluster has {gpus}: lower concurrency"
            )
        self._processor = AutoProcessor.from_pretrained(self._model.path)
        config = AutoConfig.from_pretrained(self._model.path)
        self._never = placeholder_texts(config, self._processor.tokenizer)

    def _rows(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> tuple[list[dict[str, Any]], dict[int, UserError]]:
        """One row an answer, and the requests that are refused here."""
        rows: list[dict[str, Any]] = []
        refused: dict[int, UserError] = {}
        arguments = {
            name: value
            for name, value in vllm_offline.sampling_arguments(sampling).items()
            if value is not None
        }
        if self._never:
            arguments["bad_words"] = self._never  # Arrow has no column for ids as keys
        for number, request in enumerate(requests):
            try:
                open_image(request.image)
                row = {
                    "number": number,
                    "prompt": chat_text(self._processor, request.messages),
                    "image": request.image,
                }
            except UserError as error:
                refused[number] = error
                continue
            for j in range(sampling.n):
                rows.append(
                    row | {"sample": j, "sampling_params": arguments | {"seed": request.seed + j}}
                )
        return rows, refused

    def _config(self) -> Any:
        from ray.data.llm import vLLMEngineProcessorConfig

        return vLLMEngineProcessorConfig(
            model_source=str(self._model.path),
            engine_kwargs=vllm_offline.engine_arguments(),
            concurrency=self._concurrency,
            batch_size=self._batch_size,
            runtime_env={"env_vars": _ENVIRONMENT},
            should_continue_on_error=True,
            log_engine_metrics=False,  # needs Ray's metrics exporter
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
        )


def _opened(row: dict[str, Any]) -> dict[str, Any]:
    """Before the model, on a worker: the image as vLLM takes it."""
    image = open_image(row.pop("image"))
    return row if image is None else row | {"multimodal_data": {"image": image}}


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """After the model, on a worker: place and answer; as JSON, since Arrow has no type for vLLM's log-probabilities."""
    answer = {
        "text": row["generated_text"],
        "ids": list(map(int, row["generated_tokens"])),
        "choices": row["logprobs"],
    }
    return {"number": row["number"], "sample": row["sample"], "answer": json.dumps(answer)}


def _completion(answer: dict[str, Any], top_logprobs: int) -> Completion:
    if not top_logprobs:
        return Completion(answer["text"])
    tokens = (
        vllm_offline.token(
            token_id,
            ((int(i), c["decoded_token"], c["logprob"], c["rank"]) for i, c in choices.items()),
            top_logprobs,
        )
        for token_id, choices in zip(answer["ids"], answer["choices"], strict=True)
    )
    return Completion(answer["text"], tuple(tokens))
