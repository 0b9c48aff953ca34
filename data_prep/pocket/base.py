"""Training of the base model on text: AdamW, cosine schedule, float32, fresh images in every step, resumable."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from data_prep.pocket import corpus, model, vision

LEARNING_RATE = 1.5e-3
WARMUP_STEPS = 100
FIRST_PHASE = 0.3
"""Share of the steps in which short plain answers, the cheapest way to learn to see, take most of the batch."""
SAVE_SECONDS = 150.0


class MicroBatch(NamedTuple):
    """Tensors of one kind of prompt: pixels (n, 3, 32, 32), tokens (n, t), labels (n, t) with -100 off answers."""

    pixels: torch.Tensor
    tokens: torch.Tensor
    labels: torch.Tensor
    weight: float
    kind: str


def collate(batch: corpus.Examples, tokenizer: PreTrainedTokenizerFast, weight: float, kind: str) -> MicroBatch:
    """Tokenise prompts and answers, expand <image>, pad on the right; only answers and their end carry a label."""
    image = tokenizer.convert_tokens_to_ids("<image>")
    prompts = tokenizer([model.prompt_text(text) for text in batch.prompts], add_special_tokens=False)["input_ids"]
    answers = tokenizer([f" {text}</s>" for text in batch.answers], add_special_tokens=False)["input_ids"]
    repeats = {image: model.IMAGE_TOKENS}
    expanded = [[copy for token in ids for copy in [token] * repeats.get(token, 1)] for ids in prompts]
    length = max(len(p) + len(a) for p, a in zip(expanded, answers, strict=True))
    tokens = np.full((len(answers), length), tokenizer.pad_token_id, dtype=np.int64)
    labels = np.full_like(tokens, -100)
    for row, (prompt, answer) in enumerate(zip(expanded, answers, strict=True)):
        end = len(prompt) + len(answer)
        tokens[row, :end] = prompt + answer
        labels[row, len(prompt) : end] = answer
    pixels = model.pixel_values(batch.images)
    return MicroBatch(pixels, torch.from_numpy(tokens), torch.from_numpy(labels), weight, kind)


def step_batches(step: int, steps: int, seed: int, tokenizer: PreTrainedTokenizerFast) -> list[MicroBatch]:
    """The micro-batches of one step, a function of (seed, step) alone, so that a resumed run sees the same data."""
    rng = np.random.default_rng((seed, step))
    first = step < FIRST_PHASE * steps
    plan = [("plain", 72, 1.0)] if first else [("plain", 36, 1.0), ("claims", 24, 1.0)]
    # The small shares come in turns: a handful of examples costs nearly as much as three handfuls.
    turn = step % 4
    if turn == 0:
        plan.append((str(rng.choice(corpus.NUMBER_KINDS)), 10, 0.5))
    elif not first or turn == 1:
        plan.append((str(rng.choice(corpus.VERDICT_KINDS)), 24, 0.7))
    elif turn == 2:
        plan.append(("claims", 18, 1.0))
    return [
        collate(corpus.mixed(kind, task, n, rng), tokenizer, weight, kind)
        for kind, n, weight in plan
        for task in ("QA", "Detail")
    ]


def loss_of(net: LlavaForConditionalGeneration, batch: MicroBatch) -> torch.Tensor:
    """Mean cross-entropy of the answer tokens. Padding is on the right, so that the causal mask alone is enough."""
    hidden = net.model(input_ids=batch.tokens, pixel_values=batch.pixels, use_cache=False).last_hidden_state
    targets = batch.labels[:, 1:]
    wanted = targets != -100
    return torch.nn.functional.cross_entropy(net.lm_head(hidden[:, :-1][wanted]), targets[wanted])


def train(out: Path, steps: int, vision_steps: int, seed: int, threads: int) -> None:
    """Train from nothing, or go on from `<out>.checkpoint.pt` where an interrupted run left one.

    First the vision tower alone for `vision_steps`, then everything on text for `steps`. A usable model is written to
    `out` every few minutes, and at the end.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    net, processor = model.build(corpus.tokenizer_corpus())
    tokenizer = processor.tokenizer
    net.train()
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)
    decay = [p for p in net.parameters() if p.ndim >= 2]
    rest = [p for p in net.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))
    schedule = model.warmup_cosine(optimizer, WARMUP_STEPS, steps)
    checkpoint = out.with_name(out.name + ".checkpoint.pt")
    parts = {"model": net, "optimizer": optimizer, "schedule": schedule}
    first = _resume(checkpoint, parts, steps, seed)
    if first is None:
        vision.pretrain(net, vision_steps, seed)
        _checkpoint(checkpoint, parts, 0, steps, seed)
        first = 0
    losses: dict[str, float] = {}
    began = saved = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(step_batches, first, steps, seed, tokenizer)
        for step in range(first, steps):
            batches = upcoming.result()
            upcoming = pool.submit(step_batches, step + 1, steps, seed, tokenizer)
            for position, batch in enumerate(batches):
                loss = loss_of(net, batch)
                (batch.weight * loss).backward()
                losses[f"{batch.kind} {('QA', 'Detail')[position % 2]}"] = loss.item()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % 50 == 0 or step == steps - 1:
                rate = (step + 1 - first) / (time.monotonic() - began)
                shown = ", ".join(f"{name} {value:.3f}" for name, value in sorted(losses.items()))
                left = (steps - step - 1) / rate / 60
                print(f"step {step + 1}/{steps} {rate:.2f} steps/s, {left:.1f} min left; loss {shown}", flush=True)
            if time.monotonic() - saved > SAVE_SECONDS:
                _checkpoint(checkpoint, parts, step + 1, steps, seed)
                model.save(net, processor, out)
                saved = time.monotonic()
    model.save(net, processor, out)
    checkpoint.unlink(missing_ok=True)


def _checkpoint(path: Path, parts: dict[str, Any], step: int, steps: int, seed: int) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    partial = path.with_name(path.name + ".partial")
    torch.save({"step": step, "steps": steps, "seed": seed, "rng": torch.get_rng_state(), **state}, partial)
    os.replace(partial, path)


def _resume(path: Path, parts: dict[str, Any], steps: int, seed: int) -> int | None:
    """Load a checkpoint of the same run into `parts` and return the next step; None where there is none.

    Raises:
        ValueError: the checkpoint is of a run with other settings.
    """
    if not path.is_file():
        return None
    state = torch.load(path, weights_only=True)
    if (state["steps"], state["seed"]) != (steps, seed):
        was = f"steps={state['steps']}, seed={state['seed']}"
        raise ValueError(f"{path} is of a run with {was}: delete it to start anew")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["rng"])
    print(f"resumed at step {state['step']}", flush=True)
    return int(state["step"])
