"""Training of the base model on text: AdamW, cosine schedule, float32, fresh images
in every step, resumable.

Two phases, each with a schedule of its own. `answers` teaches what stands in an image, and the
forms of all prompts. `verdicts` teaches whether a proposed answer is right: by short statements
first, since the long prompts alone stay at chance for as long as anybody waited (loss ln 2), and
follow as soon as the short ones are learned.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from data_prep.pocket import corpus, model, vision

WARMUP_STEPS = 100
FIRST_PHASE = 0.3
"""Share of the steps in which short plain answers, the cheapest way to learn to see,
take most of the batch.
"""
STATEMENTS_ALONE = 0.2
"""Share of the verdict steps that have short statements only."""
SAVE_SECONDS = 150.0


class MicroBatch(NamedTuple):
    """Tensors of one kind of prompt: pixels (n, 3, 32, 32), tokens (n, t), labels (n, t)
    with -100 off answers.
    """

    pixels: torch.Tensor
    tokens: torch.Tensor
    labels: torch.Tensor
    weight: float
    kind: str


def collate(
    batch: corpus.Examples, tokenizer: PreTrainedTokenizerFast, weight: float, kind: str
) -> MicroBatch:
    """Tokenise prompts and answers, expand <image>, pad on the right; only answers and
    their end carry a label.
    """
    image = tokenizer.convert_tokens_to_ids("<image>")
    prompts = tokenizer(
        [model.prompt_text(text) for text in batch.prompts], add_special_tokens=False
    )["input_ids"]
    answers = tokenizer([f" {text}</s>" for text in batch.answers], add_special_tokens=False)[
        "input_ids"
    ]
    repeats = {image: model.IMAGE_TOKENS}
    expanded = [
        [copy for token in ids for copy in [token] * repeats.get(token, 1)] for ids in prompts
    ]
    length = max(len(p) + len(a) for p, a in zip(expanded, answers, strict=True))
    tokens = np.full((len(answers), length), tokenizer.pad_token_id, dtype=np.int64)
    labels = np.full_like(tokens, -100)
    for row, (prompt, answer) in enumerate(zip(expanded, answers, strict=True)):
        end = len(prompt) + len(answer)
        tokens[row, :end] = prompt + answer
        labels[row, len(prompt) : end] = answer
    pixels = model.pixel_values(batch.images)
    return MicroBatch(pixels, torch.from_numpy(tokens), torch.from_numpy(labels), weight, kind)


Plan = list[tuple[str, int, float]]
"""Kind of prompt, examples of each task, weight of its loss."""


def answers_plan(step: int, steps: int, rng: np.random.Generator) -> Plan:
    """What one step of the first phase is made of."""
    first = step < FIRST_PHASE * steps
    plan: Plan = [("plain", 72, 1.0)] if first else [("plain", 36, 1.0), ("claims", 24, 1.0)]
    # The small shares come in turns: a handful of examples costs nearly as much as three handfuls.
    turn = step % 4
    if turn == 0:
        plan.append((str(rng.choice(corpus.NUMBER_KINDS)), 10, 0.5))
    elif not first or turn == 1:
        plan.append((str(rng.choice(corpus.VERDICT_KINDS)), 24, 0.7))
    elif turn == 2:
        plan.append(("claims", 18, 1.0))
    return plan


def verdicts_plan(step: int, steps: int, rng: np.random.Generator) -> Plan:
    """What one step of the second phase is made of; a part of the first goes on, so
    that it is not forgotten.
    """
    kept = [
        ("plain", 24, 0.5),
        ("claims", 18, 0.5),
        ("place", 18, 0.5),
        (str(rng.choice(corpus.NUMBER_KINDS)), 9, 0.5),
    ]
    if step < STATEMENTS_ALONE * steps:
        return [("statement", 96, 1.0), kept[step % 3]]
    return [("statement", 36, 0.5), (corpus.VERDICT_KINDS[step % 4], 64, 1.0), kept[step // 2 % 4]]


class Phase(NamedTuple):
    """One phase of the training."""

    name: str
    steps: int
    learning_rate: float
    plan: Callable[[int, int, np.random.Generator], Plan]

    def batches(self, step: int, seed: int, tokenizer: PreTrainedTokenizerFast) -> list[MicroBatch]:
        """The micro-batches of one step, a function of (phase, seed, step) alone: a resumed
        run sees the same data.
        """
        rng = np.random.default_rng((seed, step) if self.name == "answers" else (seed, 2, step))
        return [
            collate(corpus.mixed(kind, task, n, rng), tokenizer, weight, kind)
            for kind, n, weight in self.plan(step, self.steps, rng)
            for task in ("QA", "Detail")
        ]


def loss_of(net: LlavaForConditionalGeneration, batch: MicroBatch) -> torch.Tensor:
    """Mean cross-entropy of the answer tokens. Padding is on the right, so that the causal
    mask alone is enough.
    """
    hidden = net.model(
        input_ids=batch.tokens, pixel_values=batch.pixels, use_cache=False
    ).last_hidden_state
    targets = batch.labels[:, 1:]
    wanted = targets != -100
    return torch.nn.functional.cross_entropy(net.lm_head(hidden[:, :-1][wanted]), targets[wanted])


def train(
    out: Path,
    steps: int,
    vision_steps: int,
    verdict_steps: int,
    seed: int,
    threads: int,
    start: Path | None = None,
) -> None:
    """Train from nothing, or go on from `<out>.checkpoint.pt` where an interrupted run left one.

    First the vision tower alone for `vision_steps`, then everything on answers for `steps` and on
    verdicts for `verdict_steps`. With `start`, a model directory, only the verdicts. A usable
    model is written to `out` every few minutes, and at the end.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    net, processor = model.load(start) if start else model.build(corpus.tokenizer_corpus())
    net.train()
    print(
        f"{sum(p.numel() for p in net.parameters()):,} parameters, "
        f"{len(processor.tokenizer)} tokens",
        flush=True,
    )
    phases = [
        Phase("answers", steps, 1.5e-3, answers_plan),
        Phase("verdicts", verdict_steps, 1e-3, verdicts_plan),
    ]
    run = _Run(
        net,
        processor,
        out,
        seed,
        {phase.name: phase.steps for phase in phases} | {"start": str(start)},
    )
    saved = run.saved_phase()
    if saved is None and start is None:
        vision.pretrain(net, vision_steps, seed)
    names = [phase.name for phase in phases]
    for phase in phases[names.index(saved or ("verdicts" if start else "answers")) :]:
        run.train(phase)
    model.save(net, processor, out)
    run.checkpoint.unlink(missing_ok=True)


class _Run:
    """A training with its checkpoint file, which holds the phase, its step, and
    the state of everything.
    """

    def __init__(
        self,
        net: LlavaForConditionalGeneration,
        processor: Any,
        out: Path,
        seed: int,
        settings: dict[str, Any],
    ) -> None:
        self.net, self.processor, self.out, self.seed = net, processor, out, seed
        self.settings = settings | {"seed": seed}
        self.checkpoint = out.with_name(out.name + ".checkpoint.pt")

    def saved_phase(self) -> str | None:
        """Name of the phase that an interrupted run was in; None where there is no checkpoint.

        Raises:
            ValueError: the checkpoint is of a run with other settings.
        """
        if not self.checkpoint.is_file():
            return None
        state = torch.load(self.checkpoint, weights_only=True)
        if state["settings"] != self.settings:
            raise ValueError(
                f"{self.checkpoint} is of a run with {state['settings']}: delete it to start anew"
            )
        return str(state["phase"])

    def train(self, phase: Phase) -> None:
        """Train one phase, from its checkpointed step if there is one."""
        net, tokenizer = self.net, self.processor.tokenizer
        decay = [p for p in net.parameters() if p.ndim >= 2]
        rest = [p for p in net.parameters() if p.ndim < 2]
        groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=phase.learning_rate, betas=(0.9, 0.98))
        schedule = model.warmup_cosine(optimizer, WARMUP_STEPS, phase.steps)
        parts = {"model": net, "optimizer": optimizer, "schedule": schedule}
        first = self._resume(phase, parts)
        losses: dict[str, float] = {}
        began = saved = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(phase.batches, first, self.seed, tokenizer)
            for step in range(first, phase.steps):
                batches = upcoming.result()
                upcoming = pool.submit(phase.batches, step + 1, self.seed, tokenizer)
                for position, batch in enumerate(batches):
                    loss = loss_of(net, batch)
                    (batch.weight * loss).backward()
                    losses[f"{batch.kind} {('QA', 'Detail')[position % 2]}"] = loss.item()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                if step % 50 == 0 or step == phase.steps - 1:
                    rate = (step + 1 - first) / (time.monotonic() - began)
                    shown = ", ".join(
                        f"{name} {value:.3f}" for name, value in sorted(losses.items())
                    )
                    left = (phase.steps - step - 1) / rate / 60
                    where = (
                        f"{phase.name} {step + 1}/{phase.steps} {rate:.2f} "
                        f"steps/s, {left:.1f} min left"
                    )
                    print(f"{where}; loss {shown}", flush=True)
                if time.monotonic() - saved > SAVE_SECONDS:
                    self._save(phase, parts, step + 1)
                    model.save(net, self.processor, self.out)
                    saved = time.monotonic()

    def _save(self, phase: Phase, parts: dict[str, Any], step: int) -> None:
        state = {name: part.state_dict() for name, part in parts.items()}
        partial = self.checkpoint.with_name(self.checkpoint.name + ".partial")
        position = {
            "phase": phase.name,
            "step": step,
            "settings": self.settings,
            "rng": torch.get_rng_state(),
        }
        torch.save(position | state, partial)
        os.replace(partial, self.checkpoint)

    def _resume(self, phase: Phase, parts: dict[str, Any]) -> int:
        """Load this phase's checkpoint into `parts` and return the next step; else write its
        first one and return 0.
        """
        if self.saved_phase() != phase.name:
            self._save(phase, parts, 0)
            return 0
        state = torch.load(self.checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["rng"])
        print(f"resumed {phase.name} at step {state['step']}", flush=True)
        return int(state["step"])
