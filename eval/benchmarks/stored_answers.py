"""A model's answers to a benchmark: asked once, kept line by line, so that a
kill loses at most a batch.

The prompt is the benchmark's question, with the claim format's instruction where that is wanted.
Each question has a seed of its own, so an answer depends neither on its batch nor on a resume.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.engines import Completion, Engine, GenerationRequest, NoLogprobs, Sampling
from eval.asking.answers import BATCH, Decoding
from eval.benchmarks.items import Item
from eval.protocols import ask, request_seed
from eval.protocols.tags import tag_probabilities
from reward_fns.claims import claim_prompt, parse_response
from reward_fns.files import JsonlLog, read_jsonl

PROMPTS = ("claims", "plain")
_TOP = 5  # most probable tokens listed: "sure" and "not" are among them, or the tag says nothing


@dataclass(frozen=True)
class StoredAnswer:
    """One answer; `tag_probabilities`: P(sure) of its claims, [] if the engine gave none."""

    item_id: str
    response: str
    finish_reason: str = ""
    tag_probabilities: list[float | None] = field(default_factory=list)


def prompt_text(item: Item, prompt: str | None) -> str:
    """What the model is asked.

    Args:
        prompt: one of `PROMPTS`; None: the claim format for descriptions, plain
            for yes-or-no questions.
    """
    plain = prompt == "plain" or (prompt is None and item.yes_no)
    return item.question if plain else claim_prompt(item.question)


def questions_digest(items: Sequence[Item]) -> str:
    """Identifies the questions and the images that stand in the same file."""
    digest = hashlib.sha256()
    for item in items:
        text = f"{item.item_id}\0{item.image_id}\0{item.question}\0{item.encoded}\0"
        digest.update(text.encode(errors="surrogatepass"))
    return digest.hexdigest()


def open_log(path: Path) -> JsonlLog:
    """The log of answers at a path."""
    return JsonlLog(path, key=lambda line: str(line["item_id"]))


def answer_items(
    title: str,
    engine: Engine,
    items: Sequence[Item],
    log: JsonlLog,
    decoding: Decoding,
    prompt: str | None,
    batch_size: int | None = None,
) -> None:
    """Append the answers that the log lacks, and finish it. A model without a
    question left is not loaded.

    Raises:
        UserError: an image cannot be read, or the engine answers nothing.
    """
    missing = [item for item in items if item.item_id not in log.done]
    step = batch_size or BATCH
    top = _TOP
    done = len(items) - len(missing)
    with tqdm(total=len(items), initial=done, desc=title, unit="answer") as progress:
        for start in range(0, len(missing), step):
            batch = missing[start : start + step]
            requests = [_request(item, prompt, decoding.seed) for item in batch]
            sampling = Sampling(decoding.temperature, decoding.max_tokens, top_logprobs=top)
            try:
                completions = ask(engine, requests, sampling)
            except NoLogprobs as error:
                tqdm.write(f"answers without token probabilities: {error}")
                top = 0
                completions = ask(engine, requests, replace(sampling, top_logprobs=0))
            pairs = zip(batch, completions, strict=True)
            log.append(asdict(_stored(item, drawn)) for item, (drawn,) in pairs)
            progress.update(len(batch))
    log.finish()


def _request(item: Item, prompt: str | None, seed: int) -> GenerationRequest:
    content: list[dict[str, Any]] = [
        {"type": "image"},
        {"type": "text", "text": f"\n{prompt_text(item, prompt)}"},
    ]
    own = request_seed(seed, item.item_id)
    return GenerationRequest([{"role": "user", "content": content}], own, item.image())


def _stored(item: Item, completion: Completion) -> StoredAnswer:
    claims = parse_response(completion.text).claims
    return StoredAnswer(
        item.item_id,
        completion.text,
        completion.finish_reason,
        tag_probabilities(completion, claims),
    )


def read_stored(path: Path) -> dict[str, StoredAnswer]:
    """The answers of a file by item_id."""
    return {line["item_id"]: StoredAnswer(**line) for line in read_jsonl(path)}
