"""A stated confidence paid by all numbers that might stand there, not by the one that was drawn.

For each token t of a number, behind the tokens before it, a are its alternatives: tokens of digits
in t's place, the rest of the number as it was drawn. o_a is the confidence that then stands there,
p(a) its probability, y the target and w the number's weight. Three losses:

    expected     L_t = - w * sum_a p(a) * (1 - (o_a - y)^2)
    projected    L_t = - w * sum_a T(a) * log p(a)
    fitted       L_t =   w * (- sum_a T(a) * log p(a) + 30 * sum_a q(a) * (o_a - y)^2
                              - 10 * log sum_a p(a))

with q(a) = p(a) / sum_a p(a). In the first two y is ``segments.target``.

Digits behind the first decimal may as well be left out, and there q stands for p in all three. With
p each such digit that is drawn would be paid for not having ended the number, and nothing pays one
that ended: numbers grow, "0.4555555", until the response is full of them (RESULTS.md).

``fitted`` also keeps digits out of the rest of the response: with d all digits, each token where
the reference gives them less than `HARDLY_ANY` in all costs

    L_t = - w * 10 * log(1 - sum_d p(d))

for digits that are pushed about come up elsewhere too ("The emblem of6", "1.9").

``expected`` is the Brier score in expectation. For the last digit that is exact; for an earlier one
the later digits are held as drawn, which changes o_a by less than that place is worth. Its gradient
is the policy gradient's with infinitely many draws of that digit behind one answer. Like that one
it moves each digit in proportion to its probability: the likely ones grow whatever the answer,
until a few numbers are left.

``projected`` takes one gradient step of the Brier score by the mean number m, to m + step * (y -
m), and lets T be the two neighbouring digits whose mean that is (1 and 0 where one of them hits
it). All digits move by what they lack. T has hardly any spread, so the number comes to be certain
of its own mean, and the mean follows the verdicts. m is that of p at the time, without gradient: on
the way to T a skewed p leaves its own mode, m with it, and the next T follows (RESULTS.md).

``fitted`` takes for y the chance that the answer is right by a map of the reference's mean number
(`number_map`): no update moves it. T are the two neighbouring digits whose mean is y. Its three
terms need each other. Cross-entropy reaches the digits that the model hardly ever says; but where
the model cannot foretell y, it teaches how y is spread, and a drawn number pays for its spread. The
squared error is least for a number that is certain of the mean of y. The third holds the number
together: digits that are pushed about pull other tokens along, and more numbers break off ("0.
Lagos is"). What each brought: RESULTS.md.

Whatever breaks the number off, or makes it one that the reward does not read (above 1), has no
share in T and earns nothing, as being certain and wrong does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict
from verl.trainer.ppo.core_algos import agg_loss
from verl.utils.metric import Metric
from verl.workers.config import ActorConfig
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import no_padding_2_padding

from recipe.difficulty_calib.digit_tokens import Alternatives

IDS, VALUES, AIMS = "number_ids", "number_values", "number_aims"
"""Fields of a batch. (batch, response tokens, alternatives): token ids, -1 where there is none, and
the confidences o_a that they make; (batch, response tokens, 3): y, w, and `REQUIRED`, `OPTIONAL`
or `RULED_OUT`."""
REQUIRED, OPTIONAL, RULED_OUT = 0, 1, 2
"""Whether a token's alternatives have to stand there, may, or may not."""
LOSSES, MEANS, MASSES = "number_losses", "number_means", "number_masses"
"""What is kept of the logits, (batch, prompt and response tokens)."""
HARDLY_ANY = 0.01
"""Where the reference writes a digit more rarely than this, none may come."""
NO_TOKEN = -1
SQUARED, TOGETHER = 30.0, 10.0
"""Weights, in ``fitted``, of the squared error, which is a tenth of the cross-entropy and less, and
of what holds the number together and digits out of the rest."""

#: What the losses rely on in verl: how verl asks for logits and hands them over.
RELIED_ON: dict[str, tuple[str, ...]] = {
    "verl.trainer.ppo.v1.trainer_base": ("PPOTrainer._update_actor",),
    "verl.workers.engine.fsdp.transformer_impl": ("FSDPEngineWithLMHead.prepare_model_outputs",),
    "verl.workers.utils.losses": ("ppo_loss",),
}


@dataclass(frozen=True)
class Aim:
    """What a response's number is held against.

    Attributes:
        alternatives: (L,) of each token, see `DigitTokens.alternatives`; all empty: nothing is
            paid.
        target: y, in [0, 1].
        weight: w, >= 0.
        standing: (L,) `REQUIRED`, `OPTIONAL` or `RULED_OUT`, of each token's alternatives; empty:
            all are required.
    """

    alternatives: Sequence[Alternatives]
    target: float = 0.0
    weight: float = 0.0
    standing: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def is_paid(self) -> list[bool]:
        """(L,) tokens of the number, whose advantage this takes the place of."""
        ruled_out = np.zeros(len(self.alternatives), dtype=bool)
        ruled_out[: len(self.standing)] = self.standing == RULED_OUT
        return [
            bool(tokens) and not out
            for tokens, out in zip(self.alternatives, ruled_out, strict=True)
        ]


def batch_fields(aims: Sequence[Aim], targets: bool = True) -> dict[str, torch.Tensor]:
    """`IDS`, `VALUES` and, with ``targets``, `AIMS` of a batch, one `Aim` a response."""
    width = max((len(token) for aim in aims for token in aim.alternatives), default=0) or 1
    fields: dict[str, list[torch.Tensor]] = {IDS: [], VALUES: [], **({AIMS: []} if targets else {})}
    for aim in aims:
        ids = torch.full((len(aim.alternatives), width), NO_TOKEN, dtype=torch.int64)
        values = torch.zeros((len(aim.alternatives), width))
        for place, token in enumerate(aim.alternatives):
            for column, (index, value) in enumerate(token):
                ids[place, column] = index
                values[place, column] = value
        fields[IDS].append(ids)
        fields[VALUES].append(values)
        if targets:
            of_tokens = torch.tensor([[aim.target, aim.weight, REQUIRED]]).repeat(len(ids), 1)
            of_tokens[: len(aim.standing), 2] = torch.from_numpy(aim.standing)
            fields[AIMS].append(of_tokens)
    return {
        name: torch.nested.as_nested_tensor(tensors, layout=torch.jagged)
        for name, tensors in fields.items()
    }


@dataclass(frozen=True)
class _Paid:
    """The tokens of a packed batch that have alternatives, (n,) of them.

    Attributes:
        rows: (n,) their places among the responses' tokens.
        places: (n,) where in the logits they are predicted.
        is_alternative: (n, alternatives) which columns count.
        values, logs: (n, alternatives) o_a and log p(a), or log q(a) of an optional token; -inf
            where none counts.
    """

    rows: torch.Tensor
    places: torch.Tensor
    is_alternative: torch.Tensor
    values: torch.Tensor
    logs: torch.Tensor

    @classmethod
    def of(cls, logits: torch.Tensor, data: TensorDict) -> "_Paid":
        ids, values = data[IDS].values(), data[VALUES].values()
        prompts, responses = (data[name].offsets().diff() for name in ("prompts", "responses"))
        starts = (prompts + responses).cumsum(0) - responses - 1
        places = torch.cat(
            [
                start + torch.arange(int(n), device=n.device)
                for start, n in zip(starts, responses, strict=True)
            ]
        )
        (rows,) = (ids != NO_TOKEN).any(-1).nonzero(as_tuple=True)
        logs = torch.log_softmax(logits[0, places[rows]].float(), dim=-1)
        is_alternative = ids[rows] != NO_TOKEN
        of_ids = logs.gather(-1, ids[rows].clamp(min=0)).masked_fill(~is_alternative, -math.inf)
        if AIMS in data:
            optional = (data[AIMS].values()[rows, 2:] == OPTIONAL).float()
            of_ids = of_ids - optional * torch.logsumexp(of_ids, dim=-1, keepdim=True)
        return cls(rows, places[rows], is_alternative, values[rows], of_ids)

    def means(self) -> torch.Tensor:
        """(n, 1), without gradient: the mean of o_a, among the alternatives."""
        shares = torch.softmax(self.logs.detach(), dim=-1)
        return (shares * self.values).sum(-1, keepdim=True)

    def masses(self) -> torch.Tensor:
        """(n,): the probability of all alternatives."""
        return torch.logsumexp(self.logs, dim=-1).exp()

    def cross_entropy(self, means: torch.Tensor) -> torch.Tensor:
        """(n,): to the neighbouring values with these means (n, 1)."""
        onto = projected(means, self.values, self.is_alternative)
        return -(onto * self.logs.masked_fill(~self.is_alternative, 0)).sum(-1)

    def at_places(self, of_paid: torch.Tensor, length: int) -> torch.Tensor:
        """(1, length): each value at the place that predicts its token, 0 elsewhere."""
        found = of_paid.new_zeros(length)
        return found.index_put((self.places,), of_paid).unsqueeze(0)


def number_losses(
    logits: torch.Tensor, data: TensorDict, step: float | None, fitted: bool = False
) -> torch.Tensor:
    """L_t at the place whose logits predict token t, 0 elsewhere.

    Args:
        logits: (1, tokens, vocabulary), prompts and responses of the batch one behind the other.
        data: with ``prompts``, ``responses``, `IDS`, `VALUES` and `AIMS`, nested.
        step: of ``projected``, in [0, 1]; None is ``expected``.
        fitted: the loss of that name instead.

    Returns:
        (1, tokens).
    """
    paid = _Paid.of(logits, data)
    aims = data[AIMS].values()[paid.rows]
    targets, weights = aims[:, :1], aims[:, 1]
    errors = (paid.values - targets) ** 2
    if fitted:
        squared = (torch.softmax(paid.logs, dim=-1) * errors).sum(-1)
        broken = -torch.logsumexp(paid.logs, dim=-1)
        losses = paid.cross_entropy(targets) + SQUARED * squared + TOGETHER * broken
        spilt = -torch.log1p(-paid.masses().clamp(max=1 - 1e-6))
        losses = torch.where(aims[:, 2] == RULED_OUT, TOGETHER * spilt, losses)
    elif step is None:
        losses = -(paid.logs.exp() * (1 - errors)).sum(-1)
    else:
        means = paid.means()
        losses = paid.cross_entropy(means + step * (targets - means))
    return paid.at_places(weights * losses, logits.shape[1])


def read_numbers(logits: torch.Tensor, data: TensorDict) -> dict[str, torch.Tensor]:
    """What the reference says of each token's alternatives.

    Args:
        logits, data: as of `number_losses`, without `AIMS`.

    Returns:
        `MEANS`, the mean of o_a, and `MASSES`, the probability of all alternatives, at the place
        whose logits predict token t, 0 elsewhere: (1, tokens) each.
    """
    paid = _Paid.of(logits, data)
    length = logits.shape[1]
    means, masses = paid.means()[:, 0], paid.masses().detach()
    return {MEANS: paid.at_places(means, length), MASSES: paid.at_places(masses, length)}


def projected(
    means: torch.Tensor, values: torch.Tensor, is_alternative: torch.Tensor
) -> torch.Tensor:
    """The distribution over two neighbouring values whose mean is the one that is asked for.

    Args:
        means: (n, 1); beyond the values it is the nearest of them.
        values: (n, alternatives), different from each other, in any order.
        is_alternative: (n, alternatives) which of them count.

    Returns:
        (n, alternatives), rows that sum to 1.
    """
    below = values.masked_fill(~is_alternative | (values > means), -math.inf)
    above = values.masked_fill(~is_alternative | (values < means), math.inf)
    low, low_at = below.max(-1, keepdim=True)
    high, high_at = above.min(-1, keepdim=True)
    low, low_at = torch.where(low.isinf(), high, low), torch.where(low.isinf(), high_at, low_at)
    high, high_at = torch.where(high.isinf(), low, high), torch.where(high.isinf(), low_at, high_at)
    gap = high - low
    share = torch.where(gap > 0, (means - low) / gap.clamp(min=1e-9), torch.zeros_like(gap))
    onto = torch.zeros_like(values).scatter_add(-1, low_at, 1 - share)
    return onto.scatter_add(-1, high_at, share)


def actor_loss(
    config: ActorConfig,
    data: TensorDict,
    model_output: dict[str, torch.Tensor] | None = None,
    dp_group: Any = None,
    student_logits: torch.Tensor | None = None,
    step: float | None = None,
    fitted: bool = False,
) -> Any:
    """verl's `ppo_loss` and the number's, `number_losses` with ``step`` and ``fitted``.

    verl calls it twice for each micro-batch: with ``student_logits``, for what is to be kept of
    them, and with ``model_output``, in which that stands, for the loss and its metrics. A batch
    without `AIMS` is the reference's: what it says is kept, and there is no loss.
    """
    is_reference = AIMS not in data
    if student_logits is not None:
        if is_reference:
            return read_numbers(student_logits, data)
        return {LOSSES: number_losses(student_logits, data, step, fitted)}
    assert model_output is not None
    if is_reference:
        return model_output["log_probs"].values().new_zeros(()), {}
    loss, metrics = ppo_loss(config, model_output, data, dp_group)
    number = agg_loss(
        no_padding_2_padding(model_output[LOSSES], data),
        data["response_mask"].to_padded_tensor(0).to(bool),
        config.loss_agg_mode,
        **config.global_batch_info,
    )
    aggregation = metrics["actor/pg_loss"].aggregation
    metrics["actor/number_loss"] = Metric(value=number, aggregation=aggregation)
    return loss + number, metrics
