"""Training of the base model: AdamW, cosine schedule, float32, fresh images in every step, resumable."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from data_prep.pocket import corpus, model

LEARNING_RATE = 1.5e-3
WARMUP_STEPS = 100
FIRST_PHASE = 0.3
"""Share of the steps in which short plain answers, the cheapest way to learn to see, take most of the batch."""
SAVE_SECONDS = 150.0


class MicroBatch(NamedTuple):
    """Padded tensors of one kind of prompt: pixels (n, 3, 32, 32), tokens (n, t), labels (n, t) with -100 off answers."""

    pixels: torch.Tensor
    tokens: torch.Tensor
    labels: torch.Tensor
    weight: float


def pixel_values(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """What CLIP's image processor makes of 32 x 32 images: (n, 32, 32, 3) uint8 -> (n, 3, 32, 32) float32."""
    scaled = torch.from_numpy(images).float().div_(255)
    return ((scaled - torch.tensor(OPENAI_CLIP_MEAN)) / torch.tensor(OPENAI_CLIP_STD)).permute(0, 3, 1, 2).contiguous()


def collate(batch: corpus.Examples, tokenizer: PreTrainedTokenizerFast, weight: float = 1.0) -> MicroBatch:
    """Tokenise prompts and answers, expand <image>, pad on the right; only answers and their end carry a label."""
    image = tokenizer.convert_tokens_to_ids("<image>")
    prompts = tokenizer([model.prompt_text(text) for text in batch.prompts], add_special_tokens=False)["input_ids"]
    answers = tokenizer([f" {text}</s>" for text in batch.answers], add_special_tokens=False)["input_ids"]
    expanded = [[t for token in ids for t in [token] * (model.IMAGE_TOKENS if token == image else 1)] for ids in prompts]
    length = max(len(p) + len(a) for p, a in zip(expanded, answers, strict=True))
    tokens = np.full((len(answers), length), tokenizer.pad_token_id, dtype=np.int64)
    labels = np.full_like(tokens, -100)
    for row, (prompt, answer) in enumerate(zip(expanded, answers, strict=True)):
        end = len(prompt) + len(answer)
        tokens[row, :end] = prompt + answer
        labels[row, len(prompt) : end] = answer
    return MicroBatch(pixel_values(batch.images), torch.from_numpy(tokens), torch.from_numpy(labels), weight)


def step_batches(step: int, steps: int, seed: int, tokenizer: PreTrainedTokenizerFast) -> list[MicroBatch]:
    """The micro-batches of one step, a function of (seed, step) alone, so that a resumed run sees the same data."""
    rng = np.random.default_rng((seed, step))
    verdict = str(rng.choice(corpus.VERDICT_KINDS))
    number = str(rng.choice(corpus.NUMBER_KINDS))
    first = step < FIRST_PHASE * steps
    plan = [("plain", 72, 1.0), ("claims", 6, 0.5)] if first else [("plain", 36, 1.0), ("claims", 24, 1.0)]
    plan += [(verdict, 6 if first else 18, 0.5), (number, 3, 0.15)]
    return [
        collate(corpus.mixed(kind, task, n, rng), tokenizer, weight)
        for kind, n, weight in plan
        for task in ("QA", "Detail")
    ]


def loss_of(net: LlavaForConditionalGeneration, batch: MicroBatch) -> torch.Tensor:
    """Mean cross-entropy of the answer tokens. Padding is on the right, so that the causal mask alone is enough."""
    hidden = net.model(input_ids=batch.tokens, pixel_values=batch.pixels, use_cache=False).last_hidden_state
    targets = batch.labels[:, 1:]
    wanted = targets != -100
    return torch.nn.functional.cross_entropy(net.lm_head(hidden[:, :-1][wanted]), targets[wanted])


def train(out: Path, steps: int, seed: int, threads: int) -> None:
    """Train from nothing, or from `<out>.checkpoint.pt` where an interrupted run left one, and write the model to `out`.

    A usable model is written to `out` every few minutes.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    tokenizer = model.build_tokenizer(corpus.tokenizer_corpus())
    processor = model.build_processor(tokenizer)
    net = model.build_model(tokenizer).train()
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)
    decay = [p for p in net.parameters() if p.ndim >= 2]
    rest = [p for p in net.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda i: min((i + 1) / WARMUP_STEPS, 0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * min(i / steps, 1.0)))),
    )
    checkpoint = out.with_name(out.name + ".checkpoint.pt")
    parts = {"model": net, "optimizer": optimizer, "schedule": schedule}
    first = _resume(checkpoint, parts, steps, seed)
    began = saved = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(step_batches, first, steps, seed, tokenizer)
        for step in range(first, steps):
            batches = upcoming.result()
            upcoming = pool.submit(step_batches, step + 1, steps, seed, tokenizer)
            losses = []
            for batch in batches:
                loss = loss_of(net, batch)
                (batch.weight * loss).backward()
                losses.append(loss.item())
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % 25 == 0 or step == steps - 1:
                rate = (step + 1 - first) / (time.monotonic() - began)
                shown = " ".join(f"{value:.3f}" for value in losses)
                print(f"step {step + 1}/{steps} loss (plain claims verdict number, each QA Detail) {shown} "
                      f"{rate:.2f} steps/s, {(steps - step - 1) / rate / 60:.1f} min left", flush=True)  # fmt: skip
            if time.monotonic() - saved > SAVE_SECONDS:
                _checkpoint(checkpoint, parts, step + 1, steps, seed)
                model.save(net, processor, out)
                saved = time.monotonic()
    model.save(net, processor, out)
    checkpoint.unlink(missing_ok=True)


def _checkpoint(path: Path, parts: dict[str, object], step: int, steps: int, seed: int) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    partial = path.with_name(path.name + ".partial")
    torch.save({"step": step, "steps": steps, "seed": seed, "rng": torch.get_rng_state(), **state}, partial)
    os.replace(partial, path)


def _resume(path: Path, parts: dict[str, object], steps: int, seed: int) -> int:
    """Load a checkpoint of the same run into `parts` and return the next step; 0 where there is none.

    Raises:
        ValueError: the checkpoint is of a run with other settings.
    """
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if (state["steps"], state["seed"]) != (steps, seed):
        raise ValueError(f"{path} is of a run with steps={state['steps']}, seed={state['seed']}: delete it to start anew")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["rng"])
    print(f"resumed at step {state['step']}", flush=True)
    return int(state["step"])
