"""The same requests on a cluster: Ray Data's own vLLM processor (`ray.data.llm`),
streaming, with several replicas.

    {"kind": "ray", "model": MODEL, "concurrency": 8, "batch_size": 64, "address": null}

Each call of `generate` is one Ray Data run: rows stream through `concurrency` replicas of the
model, a GPU each, and come back in order. The replicas start with the call (a minute and more with
a large model), so ask for many requests at a time (steps and protocols have a batch size for it).
Sample j of a request is a row of its own with seed `request.seed + j`, as in the offline engine,
whose answers these are; the replicas' prefix caches share the prompt.

A cluster is found by `address` ("auto", "ray://HOST:10001"); without one Ray starts on
this machine. Where there is no GPU the replica takes a logical one. The model directory
must be readable on every node.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.engines import vllm_offline
from data_prep.engines.chat import chat_text, open_image
from data_prep.engines.interface import (
    Completion,
    GenerationRequest,
    Sampling,
    ScoredAnswer,
    ScoredToken,
    ScoringRequest,
    all_answered,
)
from data_prep.engines.models import ReadyModel
from data_prep.engines.placeholders import placeholder_texts
from data_prep.engines.scoring import answer_ids
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
        self._ends: frozenset[int] = frozenset()  # ids that end a sequence

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
            RefusedRequests: a prompt is longer than the model takes, an image cannot be read;
                the others are answered.
            UserError: the cluster has too few GPUs, or the run failed as a whole.
        """
        if self._processor is None:
            self._start()
        rows, refused = self._rows(requests, sampling)
        found = {
            place: _completion(answer, sampling.top_logprobs, self._ends)
            for place, answer in self._answers(rows, refused, _kept)
        }
        return all_answered(
            [
                refused[i] if i in refused else [found[i, j] for j in range(sampling.n)]
                for i in range(len(requests))
            ]
        )

    def score(self, requests: Sequence[ScoringRequest]) -> list[list[ScoredAnswer]]:
        """See `interface.Engine.score`; an answer is a row.

        Raises:
            RefusedRequests: a prompt is longer than the model takes, an image cannot be
                read; the others are scored.
            UserError: the cluster has too few GPUs, or the run failed as a whole.
        """
        if self._processor is None:
            self._start()
        rows: list[dict[str, Any]] = []
        refused: dict[int, UserError] = {}
        for number, request in enumerate(requests):
            try:
                open_image(request.image)
                rows += self._scoring_rows(number, request)
            except UserError as error:
                refused[number] = error
        found = {
            place: tuple(ScoredToken(i, p) for i, p in answer)
            for place, answer in self._answers(rows, refused, _kept_scores)
        }
        return all_answered(
            [
                refused[i]
                if i in refused
                else [found[i, j] for j in range(len(requests[i].answers))]
                for i in range(len(requests))
            ]
        )

    def _scoring_rows(self, number: int, request: ScoringRequest) -> list[dict[str, Any]]:
        prompt = chat_text(self._processor, request.messages)
        before = self._processor.tokenizer(prompt).input_ids
        rows = []
        for sample, answer in enumerate(request.answers):
            ids = answer_ids(self._processor.tokenizer, prompt, answer)
            place = {"number": number, "sample": sample, "answer_length": len(ids)}
            given = {"prompt": prompt, "tokenized_prompt": before + ids, "image": request.image}
            rows.append(place | given | {"sampling_params": vllm_offline.SCORING})
        return rows

    def _answers(
        self,
        rows: list[dict[str, Any]],
        refused: dict[int, UserError],
        kept: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Iterator[tuple[tuple[int, int], Any]]:
        """One Ray Data run: (request, sample) and what `kept` keeps of each
        row; refusals are added.
        """
        import ray
        from ray.data.llm import build_processor
        from ray.exceptions import RayError

        if not rows:
            return
        try:
            # A row holds all that its request needs, so that it can go to any node;
            # images are opened there.
            pipeline = build_processor(self._config(), preprocess=_opened, postprocess=kept)
            for row in pipeline(ray.data.from_items(rows)).iter_rows():
                if reason := row.get("__inference_error__"):
                    refused[row["number"]] = UserError(
                        f"the model refuses a request: {reason.splitlines()[0]}"
                    )
                else:
                    yield (row["number"], row["sample"]), json.loads(row["answer"])
        except RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"the Ray run failed ({reason}): the logs of the replicas say more"
            ) from error

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
                f"{self._concurrency} replicas need as many GPUs, the Ray cluster has "
                f"{gpus}: lower concurrency"
            )
        self._processor = AutoProcessor.from_pretrained(self._model.path)
        config = AutoConfig.from_pretrained(self._model.path)
        self._never = placeholder_texts(config, self._processor.tokenizer)
        self._ends = _end_ids(self._model.path, self._processor.tokenizer)

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
    """After the model, on a worker: place and answer; as JSON, since Arrow has no type for
    vLLM's log-probabilities.
    """
    answer = {
        "text": row["generated_text"],
        "ids": list(map(int, row["generated_tokens"])),
        "choices": row["logprobs"],
    }
    return {"number": row["number"], "sample": row["sample"], "answer": json.dumps(answer)}


def _kept_scores(row: dict[str, Any]) -> dict[str, Any]:
    """As `_kept`, of given text: id and log-probability of each token of the answer."""
    length = row["answer_length"]
    ids = list(map(int, row["prompt_token_ids"]))[-length:]
    scores = []
    for token_id, choices in zip(ids, list(row["prompt_logprobs"])[-length:], strict=True):
        by_id = {int(i): choice["logprob"] for i, choice in choices.items() if choice}
        scores.append((token_id, by_id[token_id]))
    return {"number": row["number"], "sample": row["sample"], "answer": json.dumps(scores)}


def _end_ids(path: Path, tokenizer: Any) -> frozenset[int]:
    """The ids at which vLLM stops: the tokenizer's and those of the model's generation settings."""
    from transformers import GenerationConfig

    ids = {tokenizer.eos_token_id}
    if (path / "generation_config.json").is_file():
        more = GenerationConfig.from_pretrained(path).eos_token_id
        ids |= {more} if isinstance(more, int) else set(more or ())
    return frozenset(ids)


def _completion(answer: dict[str, Any], top_logprobs: int, ends: Collection[int]) -> Completion:
    # Ray's rows do not say why vLLM stopped; its ids hold the token at which it did.
    reason = "stop" if answer["ids"] and answer["ids"][-1] in ends else "length"
    if not top_logprobs:
        return Completion(answer["text"], finish_reason=reason)
    tokens = (
        vllm_offline.token(
            token_id,
            ((int(i), c["decoded_token"], c["logprob"], c["rank"]) for i, c in choices.items()),
            top_logprobs,
        )
        for token_id, choices in zip(answer["ids"], answer["choices"], strict=True)
    )
    return Completion(answer["text"], tuple(tokens), reason)
