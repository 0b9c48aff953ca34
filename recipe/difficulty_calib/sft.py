"""SFT: verl's own trainer, and on demand the expected Brier score of an answer's number.

    python -m recipe.difficulty_calib.sft --config-name pocket_sft \\
        data.train_files=... model.path=...

The same as ``python -m verl.trainer.sft_trainer`` with ``--config-path`` of our folder, but for
``number_brier``. Above 0, the loss of a token t of a stated confidence is

    -log p(label) + number_brier * sum_a p(a) * ((o_a - y)^2 - 1)

over the digits a in its place, o_a the confidence that then stands there and y the one that the
label states (`number_loss`). Cross-entropy alone teaches how y is spread over answers that the
model cannot tell apart, and a drawn number pays for that spread twice. The second term is least
where the number is the mean of y. On the pocket model it has not helped (RESULTS.md): 0 is the
default.
"""

import math
import sys
from functools import partial
from typing import Any

import hydra
import numpy as np
import torch
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.trainer import sft_trainer
from verl.utils import tensordict_utils as tu
from verl.workers.utils.losses import sft_loss

from recipe.difficulty_calib.digit_tokens import DigitTokens, confidence_in
from recipe.difficulty_calib.number_loss import (
    RELIED_ON,
    Aim,
    batch_fields,
    number_losses,
)
from recipe.difficulty_calib.patches.stock import check_all
from recipe.difficulty_calib.segments import NUMBER, decoded_pieces, token_kinds
from reward_fns.errors import ConfigurationError

#: What this trainer overrides: module of verl -> names in it.
OVERRIDES: dict[str, tuple[str, ...]] = {sft_trainer.__name__: ("SFTTrainer._build_engine",)}


class CalibratedSFTTrainer(sft_trainer.SFTTrainer):
    """verl's SFT trainer with ``number_brier``."""

    def _build_engine(self) -> None:
        weight = self.config.number_brier
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < math.inf:
            raise ConfigurationError(f"number_brier is a weight >= 0, got {weight!r}")
        super()._build_engine()
        if not weight:
            return
        check_all(OVERRIDES | RELIED_ON, "number_brier")
        self.training_client.set_loss_fn(partial(loss_with_number, config=None))
        numbers = NumberAims(self.model_config.tokenizer, float(weight))
        train_batch = self.training_client.train_batch

        def with_aims(data: TensorDict) -> TensorDict:
            numbers.add_to(data)
            output = train_batch(data=data)
            if self.engine.is_mp_src_rank_with_outputs():
                metrics = tu.get(output, "metrics")  # a list over micro-batches, one of them a rank
                parts = np.atleast_2d(metrics.pop("number_loss"))
                metrics["train/number_loss"] = float(parts.sum(axis=-1).mean())
            return output

        self.training_client.train_batch = with_aims


class NumberAims:
    """Holds each digit of an answer's number against the number that the answer states."""

    def __init__(self, tokenizer: Any, weight: float) -> None:
        self._tokenizer = tokenizer
        self._digits = DigitTokens(tokenizer)
        self._weight = weight

    def add_to(self, data: TensorDict) -> None:
        """Put what `number_loss.number_losses` reads into a batch of verl's."""
        answers, prompts, aims = [], [], []
        for ids, mask in zip(data["input_ids"].unbind(), data["loss_mask"].unbind(), strict=True):
            begin = len(ids) - int(mask.sum())
            prompts.append(ids[:begin])
            answers.append(ids[begin:])
            aims.append(self._of_answer(answers[-1].tolist()))
        jagged = partial(torch.nested.as_nested_tensor, layout=torch.jagged)
        fields = {"prompts": jagged(prompts), "responses": jagged(answers), **batch_fields(aims)}
        for name, value in fields.items():
            data[name] = value
        tu.assign_non_tensor(data, distillation_use_topk=True)

    def _of_answer(self, ids: list[int]) -> Aim:
        pieces = decoded_pieces(self._tokenizer, ids)
        is_number = token_kinds(pieces) == NUMBER
        stated = confidence_in("".join(p for p, n in zip(pieces, is_number, strict=True) if n))
        if stated is None:
            return Aim([[] for _ in ids])
        return Aim(self._digits.alternatives(pieces, ids, is_number), stated, self._weight)


def loss_with_number(
    config: Any,
    data: TensorDict,
    model_output: dict[str, torch.Tensor] | None = None,
    dp_group: Any = None,
    student_logits: torch.Tensor | None = None,
) -> Any:
    """verl's `sft_loss` and the number's, averaged over the same tokens."""
    if student_logits is not None:
        return {"number_losses": number_losses(student_logits, data, step=None)}
    assert model_output is not None
    loss, metrics = sft_loss(config, model_output, data, dp_group)
    number = model_output["number_losses"].values().sum()
    number = number / data["batch_num_tokens"] * data["dp_size"]
    return loss + number, {**metrics, "number_loss": number.detach().item()}


@hydra.main(
    config_path="pkg://recipe.difficulty_calib.config", config_name="pocket_sft", version_base=None
)
def main(config: DictConfig) -> None:
    """Train as composed; a key that cannot be is one line, and exit code 1."""
    sft_trainer.SFTTrainer = CalibratedSFTTrainer  # `run_sft` takes it by name
    try:
        sft_trainer.main.__wrapped__(config)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
