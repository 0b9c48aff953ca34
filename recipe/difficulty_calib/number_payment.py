"""The trainer's part in paying numbers by all that might stand there; for losses see `number_loss`.

What it puts into a batch, and how it makes verl hand over the logits: verl does so for distillation
alone (``distillation_use_topk``), and `actor_loss` stands in the place of verl's `ppo_loss`.

For ``number_by=fitted`` it also reads, in the pass that verl makes with its reference, the mean of
the number that the reference might have stated behind each answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import transfer_queue as tq
from numpy.typing import NDArray
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.padding import response_from_nested

from recipe.difficulty_calib.digit_tokens import (
    Alternatives,
    DigitTokens,
    may_be_left_out,
    mean_number,
)
from recipe.difficulty_calib.number_loss import (
    HARDLY_ANY,
    MASSES,
    MEANS,
    OPTIONAL,
    REQUIRED,
    RULED_OUT,
    Aim,
    actor_loss,
    batch_fields,
)
from recipe.difficulty_calib.number_map import NumberMap
from recipe.difficulty_calib.segments import (
    NUMBER,
    Kinds,
    Rollout,
    SegmentOptions,
    decoded_pieces,
    number_targets,
    token_kinds,
)


@dataclass(frozen=True)
class TokenizedResponse:
    """A response, token by token.

    Attributes:
        ids, pieces, kinds: (L,) tokens, the text that each adds, and its segment.
    """

    ids: Sequence[int]
    pieces: Sequence[str]
    kinds: Kinds

    @classmethod
    def of(
        cls, tokenizer: Any, ids: Sequence[int], thinking: tuple[str, str] | None
    ) -> "TokenizedResponse":
        """Read by the reward's parser."""
        pieces = decoded_pieces(tokenizer, ids)
        return cls(ids, pieces, token_kinds(pieces, thinking))


class NumberPayment:
    """For ``segments.number_by`` other than ``drawn``.

    Args:
        tokenizer: of Hugging Face.
        options: of the segments.

    Attributes:
        fits: whether the targets are fitted to the reference's mean numbers.
        map: that fit; of no answers where `fits` is False.
        curves: of the last step, for the tracker.
    """

    def __init__(self, tokenizer: Any, options: SegmentOptions) -> None:
        self._options = options
        self.fits = options.number_by == "fitted"
        self._digits = DigitTokens(tokenizer, before_point=self.fits)
        self._any_digit = self._digits.all_digits()
        self._means: dict[str, float | None] = {}
        self._hardly_any: dict[str, NDArray[np.bool_]] = {}
        self.map = NumberMap()
        self.curves: dict[str, float] = {}

    def install(self, workers: Any, actor: DictConfig) -> None:
        """Give the actor's workers the loss; let updates and the reference's pass hand it logits.

        Args:
            workers: verl's group of workers.
            actor: ``actor_rollout_ref.actor``.
        """
        options, config = self._options, omega_conf_to_dataclass(actor)
        step = options.number_step if options.number_by == "projected" else None
        loss = partial(actor_loss, config=config, step=step, fitted=self.fits)
        workers.set_loss_fn(loss)
        update_actor, compute_log_prob = workers.update_actor, workers.compute_log_prob

        def update_with_logits(batch: tq.KVBatchMeta) -> Any:
            batch.extra_info["distillation_use_topk"] = True
            return update_actor(batch)

        def read_with_logits(batch: tq.KVBatchMeta) -> Any:
            is_reference = batch.extra_info.get("no_lora_adapter", False)
            # "compute_loss" alone makes verl call the loss function.
            asked = {"compute_loss": is_reference, "distillation_use_topk": is_reference}
            batch.extra_info.update(asked)
            return compute_log_prob(batch)

        workers.update_actor = update_with_logits
        if self.fits:
            workers.compute_log_prob = read_with_logits

    def ask_reference(
        self, batch: tq.KVBatchMeta, answers: Mapping[str, TokenizedResponse]
    ) -> tq.KVBatchMeta:
        """The batch with what `number_loss.read_numbers` reads in the reference's pass."""
        aims = [Aim(self._with_digits(answers[key])) for key in batch.keys]
        put = TensorDict(batch_fields(aims, targets=False), batch_size=len(aims))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=put)

    def read_reference(
        self, batch: tq.KVBatchMeta, answers: Mapping[str, TokenizedResponse]
    ) -> None:
        """Keep the mean number of each answer, and where it hardly writes a digit, after the
        reference's pass.
        """
        data = tq.kv_batch_get(
            keys=batch.keys,
            partition_id=batch.partition_id,
            select_fields=[MEANS, MASSES, "response_mask"],
        )
        means, masses = (
            response_from_nested(data[name], data["response_mask"]).unbind()
            for name in (MEANS, MASSES)
        )
        self._means = {
            key: mean_number(self._alternatives(answers[key]), of_tokens.tolist())
            for key, of_tokens in zip(batch.keys, means, strict=True)
        }
        self._hardly_any = {
            key: of_tokens.cpu().numpy() < HARDLY_ANY
            for key, of_tokens in zip(batch.keys, masses, strict=True)
        }

    def aims(
        self, rollouts: Mapping[str, Rollout], answers: Mapping[str, TokenizedResponse]
    ) -> dict[str, Aim]:
        """What each response's number is held against; nothing without a target (padding rows)."""
        targets = dict(
            zip(rollouts, number_targets(list(rollouts.values()), self._options), strict=True)
        )
        if self.fits:
            targets = self._fitted(rollouts, targets)
        aims = {}
        for key, answer in answers.items():
            target = targets.get(key)
            if target is None:
                aims[key] = Aim([[] for _ in answer.ids])
            else:
                weight = self._options.number * rollouts[key].delta
                aims[key] = self._aim(key, answer, target, weight)
        return aims

    def _aim(self, key: str, answer: TokenizedResponse, target: float, weight: float) -> Aim:
        is_number = answer.kinds == NUMBER
        standing = np.where(may_be_left_out(answer.pieces, is_number), OPTIONAL, REQUIRED)
        if not self.fits:
            return Aim(self._alternatives(answer), target, weight, standing)
        ruled_out = ~is_number & self._hardly_any[key]
        paid = [
            tokens if number or out else []
            for tokens, number, out in zip(
                self._with_digits(answer), is_number, ruled_out, strict=True
            )
        ]
        return Aim(paid, target, weight, np.where(ruled_out, RULED_OUT, standing))

    def _fitted(
        self, rollouts: Mapping[str, Rollout], targets: Mapping[str, float | None]
    ) -> dict[str, float | None]:
        """The chance that each answer is right, by the map of the reference's mean numbers."""
        judged = {
            key: mean
            for key, target in targets.items()
            if target is not None and (mean := self._means[key]) is not None
        }
        means = list(judged.values())
        verdicts = [rollouts[key].reward["acc"] for key in judged]
        self.curves = self._map_curves(means, verdicts)
        self.map.add(means, verdicts)
        return dict(zip(judged, self.map.apply(means), strict=True))

    def _map_curves(self, means: Sequence[float], verdicts: Sequence[float]) -> dict[str, float]:
        """How the map of earlier steps does on answers that it has not seen."""
        curves = {"number_map/answers": float(len(self.map))}
        if len(self.map) and means:
            errors = np.subtract(self.map.apply(means), verdicts)
            curves["number_map/brier"] = float(np.mean(errors**2))
        return curves

    def _with_digits(self, answer: TokenizedResponse) -> list[Alternatives]:
        """The number's alternatives; of all other tokens, the digits."""
        return [
            tokens if kind == NUMBER else self._any_digit
            for tokens, kind in zip(self._alternatives(answer), answer.kinds, strict=True)
        ]

    def _alternatives(self, answer: TokenizedResponse) -> list[Alternatives]:
        return self._digits.alternatives(answer.pieces, answer.ids, answer.kinds == NUMBER)
