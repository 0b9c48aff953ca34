"""The number paid in expectation over the numbers that might stand there, not for the one that was drawn.

For each token t of a stated confidence, behind the tokens before it, the loss is

    L_t = - w * delta * sum_a p(a) * (1 - (o_a - y)^2)

over the alternatives a: tokens of digits in t's place, the rest of the number as it was drawn. o_a is
the confidence that then stands there, y the target (``segments.target``). Whatever breaks the number
off, or makes it one that the reward does not read (above 1), earns nothing, as being certain and wrong does.

For the last digit this is the exact expectation of the segment's reward. For an earlier one the later
digits are held as drawn, which changes o_a by less than that place is worth. Its gradient is the policy
gradient's with infinitely many draws of that digit behind one answer.

What stands before the decimal point decides more than its place: behind 1 there are zeros alone, so the
number "1.0" does not say what would stand behind a 0. Such a token, and those of "100%", stay with the
advantage of what was drawn.

verl hands the logits to a loss function for distillation alone (``distillation_use_topk``): the trainer
asks for them under that name, and `actor_loss` stands in the place of verl's `ppo_loss`.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.trainer.ppo.core_algos import agg_loss
from verl.utils.metric import Metric
from verl.workers.config import ActorConfig
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import no_padding_2_padding

from reward_fns.errors import ConfigurationError

IDS, PAYOFFS = "number_ids", "number_payoffs"
"""Fields of a batch, each (batch, response tokens, alternatives): token ids, -1 where there is none, and
w * delta * (1 - (o_a - y)^2), 0 where there is none."""
NO_TOKEN = -1

#: What ``segments.number_by=expected`` relies on in verl: how verl asks for logits and hands them over.
RELIED_ON = {
    "verl.trainer.ppo.v1.trainer_base": ("PPOTrainer._update_actor",),
    "verl.workers.engine.fsdp.transformer_impl": ("FSDPEngineWithLMHead.prepare_model_outputs",),
    "verl.workers.utils.losses": ("ppo_loss",),
}

_DIGITS = re.compile(r"([^0-9]*)([0-9]+)")
_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))\s*(%?)")  # as `claims` reads it
# The part of a number whose digits may change one by one: decimals with their point, two digits of percent.
_BY_DIGIT = re.compile(r"\.[0-9]|(?<![0-9.])[0-9]{1,2}\s*%")

Alternatives = list[tuple[int, float]]
"""Token ids, each with the confidence in [0, 1] that then stands there."""


class DigitTokens:
    """The tokens of a vocabulary that are digits, by what stands before the digits in them (a blank).

    Args:
        tokenizer: of Hugging Face.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._by_lead: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for token, index in sorted(tokenizer.get_vocab().items()):
            if match := _DIGITS.fullmatch(token):
                self._by_lead[match[1]].append((match[2], index))

    def alternatives(
        self, pieces: Sequence[str], ids: Sequence[int], is_number: NDArray[np.bool_]
    ) -> list[Alternatives]:
        """For each token of a response's numbers, those that may stand in its place, itself included.

        Args:
            pieces: (L,) the text that each token adds.
            ids: (L,) the tokens.
            is_number: (L,) which of them write a number; each run of them is one.

        Returns:
            (L,) lists, empty for every other token, for those before a decimal point and for all of
            "100%". A number's token without digits (the point, a percent sign) has itself alone.
        """
        found: list[Alternatives] = [[] for _ in ids]
        places = np.flatnonzero(is_number)
        for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
            number = "".join(pieces[place] for place in run)
            stated = confidence_in(number)
            match = _BY_DIGIT.search(number)
            if stated is None or match is None:
                continue
            end = 0
            for place in run:
                start, end = end, end + len(pieces[place])
                if end <= match.start():
                    continue
                before = number[:start] + pieces[place].rstrip("0123456789")
                values = [
                    (index, confidence_in(before + digits + number[end:]))
                    for digits, index in self._like(ids[place])
                ]
                numbers = [(index, value) for index, value in values if value is not None]
                found[place] = numbers or [(ids[place], stated)]
        return found

    def _like(self, token: int) -> list[tuple[str, int]]:
        match = _DIGITS.fullmatch(self._tokenizer.convert_ids_to_tokens(token) or "")
        return self._by_lead[match[1]] if match else []


def confidence_in(text: str) -> float | None:
    """The confidence that a text with one number states, in [0, 1]; None where the reward reads none.

    >>> confidence_in(" 0.7"), confidence_in("85%"), confidence_in("1.7"), confidence_in("0.5%")
    (0.7, 0.85, None, None)
    """
    match = _NUMBER.search(text)
    if match is None:
        return None
    value = float(match[1]) / (100 if match[2] else 1)
    ambiguous = bool(match[2]) and 0 < value < 0.01
    return value + 0.0 if 0 <= value <= 1 and not ambiguous else None


def batch_fields(rows: Sequence[Sequence[Sequence[tuple[int, float]]]]) -> dict[str, torch.Tensor]:
    """`IDS` and `PAYOFFS` of a batch.

    Args:
        rows: (batch, response tokens) of lists of token ids with their payoffs, empty where a token is no number's.
    """
    width = max((len(token) for row in rows for token in row), default=0) or 1
    ids = [torch.full((len(row), width), NO_TOKEN, dtype=torch.int64) for row in rows]
    payoffs = [torch.zeros((len(row), width)) for row in rows]
    for row, row_ids, row_payoffs in zip(rows, ids, payoffs, strict=True):
        for place, token in enumerate(row):
            for column, (index, payoff) in enumerate(token):
                row_ids[place, column] = index
                row_payoffs[place, column] = payoff
    return {
        IDS: torch.nested.as_nested_tensor(ids, layout=torch.jagged),
        PAYOFFS: torch.nested.as_nested_tensor(payoffs, layout=torch.jagged),
    }


def expected_losses(logits: torch.Tensor, data: TensorDict) -> torch.Tensor:
    """L_t at the place whose logits predict token t, 0 elsewhere.

    Args:
        logits: (1, tokens, vocabulary), prompts and responses of the batch one behind the other.
        data: with ``prompts``, ``responses``, `IDS` and `PAYOFFS`, nested.

    Returns:
        (1, tokens).
    """
    ids, payoffs = data[IDS].values(), data[PAYOFFS].values()  # (response tokens, alternatives)
    prompts, responses = (data[name].offsets().diff() for name in ("prompts", "responses"))
    starts = (prompts + responses).cumsum(0) - responses - 1
    places = torch.cat(
        [
            start + torch.arange(int(n), device=n.device)
            for start, n in zip(starts, responses, strict=True)
        ]
    )
    paid = (ids != NO_TOKEN).any(-1)
    logs = torch.log_softmax(logits[0, places[paid]].float(), dim=-1)
    chances = logs.gather(-1, ids[paid].clamp(min=0)).exp()
    losses = -(chances * payoffs[paid]).sum(-1)
    return logs.new_zeros(logits.shape[1]).index_put((places[paid],), losses).unsqueeze(0)


def actor_loss(
    config: ActorConfig,
    data: TensorDict,
    model_output: dict[str, torch.Tensor] | None = None,
    dp_group: Any = None,
    student_logits: torch.Tensor | None = None,
) -> Any:
    """verl's `ppo_loss` and the number's.

    verl calls it twice for each micro-batch: with ``student_logits``, for what is to be kept of them,
    and with ``model_output``, in which that stands, for the loss and its metrics.
    """
    if student_logits is not None:
        return {"number_losses": expected_losses(student_logits, data)}
    assert model_output is not None
    loss, metrics = ppo_loss(config, model_output, data, dp_group)
    number = agg_loss(
        no_padding_2_padding(model_output["number_losses"], data),
        data["response_mask"].to_padded_tensor(0).to(bool),
        config.loss_agg_mode,
        **config.global_batch_info,
    )
    aggregation = metrics["actor/pg_loss"].aggregation
    metrics["actor/number_loss"] = Metric(value=number, aggregation=aggregation)
    return loss + number, metrics


def check_logits(config: DictConfig) -> None:
    """Refuse what keeps a response's logits from being in one place.

    Raises:
        ConfigurationError: a key does so; the message names it.
    """
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    refused = {
        "actor_rollout_ref.model.use_fused_kernels": bool(model.get("use_fused_kernels")),
        # verl's older name of the second
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size": (
            actor.get("ulysses_sequence_parallel_size", 1) > 1
        ),
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size": (
            actor.fsdp_config.get("ulysses_sequence_parallel_size", 1) > 1
        ),
        "actor_rollout_ref.actor.fsdp_config.pad_to_length": bool(
            actor.fsdp_config.get("pad_to_length")
        ),
        "distillation.enabled": bool((config.get("distillation") or {}).get("enabled")),
    }
    if actor.strategy not in ("fsdp", "fsdp2"):
        refused[f"actor_rollout_ref.actor.strategy={actor.strategy}"] = True
    if found := [key for key, is_set in refused.items() if is_set]:
        raise ConfigurationError(
            f"segments.number_by=expected reads the logits and does not go with {', '.join(found)}: "
            "leave that out, or take segments.number_by=drawn"
        )
