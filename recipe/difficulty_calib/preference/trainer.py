"""transformers' Trainer with the three losses, on a LoRA adapter of the language model.

TRL's DPOTrainer is such a Trainer too. It is not used: verl 0.9.1 patches a TRL that it finds in
its environment and fails on a current one (the CPU lock is without it), and neither POVID's noised
branch nor selective EOS supervision stands in it. The record is TRL's, so that TRL in an
environment of its own trains on the same file.

The reference model is the model with its adapter off: nothing is loaded twice.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from data_prep.engines.diffusion_noise import STEPS, with_noise
from data_prep.engines.models import prepare
from recipe.difficulty_calib.preference.examples import Collator, Example
from recipe.difficulty_calib.preference.losses import (
    IGNORED,
    dpo_loss,
    eos_scores,
    most_likely_tokens,
    selective_eos_loss,
    sequence_logprobs,
)
from reward_fns.errors import UserError
from reward_fns.files import alone_in

METHODS = ("dpo", "povid", "less_is_more", "sft")
_TRAINED = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"


@dataclass(frozen=True)
class Settings:
    """How it is trained.

    Attributes:
        method: one of `METHODS`.
        beta: of DPO, > 0.
        sft_weight: gamma of the better answer's cross-entropy beside DPO's loss, >= 0.
        noise_steps: of POVID's image, 1 to 1,000.
        keep: share of the SFT rows that is kept, those with the lowest
            `losses.eos_scores`, above 0 to 1.
        epochs: passes over the data; `steps` > 0 takes its place.
        batch_size: examples a forward pass and device; `accumulate` of them make an update.

    Raises:
        UserError: a value out of range.
    """

    method: str
    learning_rate: float
    beta: float = 0.1
    sft_weight: float = 0.0
    noise_steps: int = 500
    keep: float = 1.0
    epochs: float = 1.0
    steps: int = -1
    batch_size: int = 8
    accumulate: int = 1
    rank: int = 64
    seed: int = 0
    save_steps: int = 200

    def __post_init__(self) -> None:
        positive = (self.learning_rate, self.beta, self.epochs, self.batch_size, self.accumulate)
        if min(*positive, self.rank, self.save_steps) <= 0 or not 0 < self.noise_steps <= STEPS:
            raise UserError(
                f"rates, beta, sizes and rank must be above 0, noise steps 1 to {STEPS}, got {self}"
            )
        if self.sft_weight < 0:
            raise UserError(f"the weight of SFT must not be below 0, got {self.sft_weight}")
        if not 0 < self.keep <= 1:
            raise UserError(
                f"the share that is kept must be above 0 and at most 1, got {self.keep}"
            )
        if self.keep < 1 and self.method in ("dpo", "povid"):
            raise UserError(
                f"{self.method} keeps all pairs: rows are filtered for less_is_more and sft"
            )


class PreferenceTrainer(Trainer):
    """A Trainer with the method's loss; logs how often, and by how much, r(y_w) > r(y_l)."""

    def __init__(self, settings: Settings, ends: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self._settings, self._ends = settings, ends
        self._told: dict[str, list[float]] = {}
        # The loss is a mean a batch, which the Trainer then divides by `accumulate`.
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of one batch of the collator's."""
        labels = inputs.pop("labels")
        logits = model(**inputs).logits
        if self._settings.method in ("less_is_more", "sft"):
            ends = self._ends if self._settings.method == "less_is_more" else ()
            return selective_eos_loss(logits, labels, ends)
        with torch.no_grad(), self.accelerator.unwrap_model(model).disable_adapter():
            reference = model(**inputs).logits
        ratio = sequence_logprobs(logits, labels) - sequence_logprobs(reference, labels)
        chosen, rejected = ratio.chunk(2)
        self._note(chosen, rejected)
        beta, half = self._settings.beta, len(labels) // 2
        loss = dpo_loss(chosen, rejected, beta)
        if self._settings.method == "povid":
            tokens = torch.full_like(labels, IGNORED)
            tokens[:half] = self._noised_tokens(model, inputs, labels)[:half]
            noisy = sequence_logprobs(logits, tokens) - sequence_logprobs(reference, tokens)
            loss = (loss + dpo_loss(chosen, noisy[:half], beta)) / 2
        if self._settings.sft_weight:
            loss = loss + self._settings.sft_weight * selective_eos_loss(
                logits[:half], labels[:half], ()
            )
        return loss

    def _noised_tokens(self, model: Any, inputs: dict[str, Any], labels: Any) -> Any:
        """What the model would say next of the noised image, behind each answer's beginnings."""
        step, rows = self.state.global_step, len(labels)
        seeds = [hash((self._settings.seed, step, row)) & 0x7FFFFFFF for row in range(rows)]
        config = self.accelerator.unwrap_model(model).config
        with torch.no_grad():
            noised = model(**with_noise(inputs, seeds, self._settings.noise_steps, config))
        return most_likely_tokens(noised.logits, labels)

    def _note(self, chosen: Any, rejected: Any) -> None:
        margin = (chosen - rejected).detach()
        told = {
            "rewards/accuracies": (margin > 0).float().mean(),
            "rewards/margins": self._settings.beta * margin.mean(),
        }
        for name, value in told.items():
            self._told.setdefault(name, []).append(value.item())

    def log(self, logs: dict[str, float], *arguments: Any, **options: Any) -> None:
        """Add the means since the last line."""
        means = {name: sum(values) / len(values) for name, values in self._told.items()}
        self._told.clear()
        super().log({**logs, **means}, *arguments, **options)


def train(model: str, examples: Sequence[Example], out: Path, settings: Settings) -> list[Any]:
    """Train an adapter on a model (`engines.models.prepare`); `out` appears whole or not at all.

    One that was interrupted goes on from its last checkpoint, every `save_steps` updates; one with
    other settings, examples or weights begins anew. Returns the Trainer's log.

    Raises:
        UserError: `out` exists, or the model or an example cannot be used.
    """
    if out.exists():
        raise UserError(f"{out} exists: name another --out, or remove it")
    copies = out.with_name(f".{out.name}.models")
    ready = prepare(model, copies)
    work = out.with_name(f".{out.name}.{_digest(ready.fingerprint, examples, settings)}.work")
    with alone_in(work):
        trainer = _trainer(ready.path, examples, settings, work)
        trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work)))
        beside = work / "adapter"
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(beside)
        os.replace(beside, out)
    for done in (work, copies):
        shutil.rmtree(done, ignore_errors=True)
    log: list[Any] = trainer.state.log_history
    return log


def _trainer(
    model: Path, examples: Sequence[Example], settings: Settings, work: Path
) -> PreferenceTrainer:
    """The Trainer of a model directory with a new adapter on it."""
    from peft import LoraConfig, get_peft_model

    on_gpu = torch.cuda.is_available()
    processor = AutoProcessor.from_pretrained(model)
    base = AutoModelForImageTextToText.from_pretrained(
        model, dtype=torch.bfloat16 if on_gpu else torch.float32
    )
    ends = base.generation_config.eos_token_id
    ends = {processor.tokenizer.eos_token_id, *([ends] if isinstance(ends, int) else ends or ())}
    longest = base.config.get_text_config().max_position_embeddings
    collator = Collator(processor, longest)
    examples = usable(collator, examples)
    if settings.keep < 1:
        base = base.to("cuda" if on_gpu else "cpu")
        examples = filtered(base, collator, examples, settings, sorted(ends))
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank, lora_alpha=2 * settings.rank, target_modules=_TRAINED, lora_dropout=0.0
    )
    return PreferenceTrainer(
        settings,
        sorted(ends),
        model=get_peft_model(base, config),
        args=_arguments(settings, work, on_gpu),
        train_dataset=list(examples),
        data_collator=collator,
    )


def usable(collator: Collator, examples: Sequence[Example]) -> list[Example]:
    """The examples that the collator takes; the others are named and counted.
    Else one would end each attempt.

    Raises:
        UserError: it takes none.
    """
    kept, left_out = [], []
    for one in examples:
        try:
            collator([one])
        except UserError as error:
            said = str(error)
            known = said.startswith(one.question_id)
            left_out.append(said if known else f"{one.question_id}: {said}")
        else:
            kept.append(one)
    if left_out:
        told = f"{len(left_out)} of {len(examples)} examples cannot be used"
        if not kept:
            raise UserError(f"{told}: the first, {left_out[0]}")
        print(f"{told} and are left out:", *left_out[:5], sep="\n  ", flush=True)
    return kept


def filtered(
    model: Any,
    collator: Collator,
    examples: Sequence[Example],
    settings: Settings,
    ends: Sequence[int],
) -> list[Example]:
    """The share `settings.keep` of the examples with the lowest `eos_scores` by the untrained
    model, in their order.
    """
    scores: list[float] = []
    model.eval()
    for start in range(0, len(examples), settings.batch_size):
        inputs = collator(examples[start : start + settings.batch_size])
        inputs = {name: value.to(model.device) for name, value in inputs.items()}
        labels = inputs.pop("labels")
        with torch.no_grad():
            scores += eos_scores(model(**inputs).logits, labels, ends).tolist()
    lowest = sorted(range(len(examples)), key=scores.__getitem__)
    kept = sorted(lowest[: max(1, round(settings.keep * len(examples)))])
    return [examples[place] for place in kept]


def _digest(fingerprint: str, examples: Sequence[Example], settings: Settings) -> str:
    told = repr((fingerprint, settings, [(one.question_id, one.answers) for one in examples]))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _arguments(settings: Settings, work: Path, on_gpu: bool) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(work),
        use_cpu=not on_gpu,
        bf16=on_gpu,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.03,
        num_train_epochs=settings.epochs,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        gradient_checkpointing=on_gpu,
        save_strategy="steps",
        save_steps=settings.save_steps,
        save_total_limit=1,
        logging_steps=10,
        report_to="none",
        remove_unused_columns=False,
        seed=settings.seed,
    )
