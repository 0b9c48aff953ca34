"""The losses.

DPO (Rafailov et al. 2023, Eq. 7), on the image v; HA-DPO and RLAIF-V use it as it is. With r(y) =
log pi(y | x, v) - log pi_ref(y | x, v), a sum over the answer's tokens and its end of sequence,
y_w the better answer and y_l the worse,

    L_DPO(y_w, y_l) = -log sigmoid(beta (r(y_w) - r(y_l)))

POVID (Zhou et al. 2024) has a second rejected answer: at each token t of y_w what the model would
say next if it saw the noised image v', n_t = argmax pi(. | x, v', y_w,<t). Scored, as in its
published code, behind y_w,<t and the image itself:

    L = 1/2 L_DPO(y_w, y_l) + 1/2 L_DPO(y_w, n)

A token that the noise does not change cancels. The published code lets pi_ref choose tokens of its
own; here pi_ref scores those that pi chose, so that r(n) is a ratio for one text. At the start, pi
= pi_ref, they are the same.

Less-is-more (Yue et al. 2024, selective EOS supervision): cross-entropy in which the end of
sequence is no candidate wherever it is not the label, so that no step teaches the model to go on.
Where it is the label, all is as ever.

    L = -mean_t log softmax(z_t without the ends that are not y_t)[y_t]

Its second half filters the data by what an answer would teach the model about ending (scoring EOS
supervision), with p_t the model's probability of an end at t:

    S = S_neg - S_pos
    S_pos = -sum_{t: y_t an end} log p_t
    S_neg = -sum_{t: y_t no end} log(1 - p_t)

Answers that go on where the model would end have a high S; the paper drops the highest fifth.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy, logsigmoid

IGNORED = -100
"""The label of what is no token of an answer."""


def sequence_logprobs(logits: Any, tokens: Any) -> Any:
    """log pi of each row's tokens (B,).

    Args:
        logits: (B, T, V), those at t for the token at t + 1.
        tokens: (B, T), `IGNORED` where nothing counts.
    """
    targets = tokens[:, 1:]
    counted = targets != IGNORED
    chosen = targets.masked_fill(~counted, 0).unsqueeze(-1)
    logprobs = torch.log_softmax(logits[:, :-1].float(), -1).gather(-1, chosen).squeeze(-1)
    return logprobs.masked_fill(~counted, 0).sum(-1)


def dpo_loss(chosen: Any, rejected: Any, beta: float) -> Any:
    """L_DPO, the mean over pairs.

    Args:
        chosen, rejected: r(y_w) and r(y_l), (B,).
    """
    return -logsigmoid(beta * (chosen - rejected)).mean()


def most_likely_tokens(logits: Any, labels: Any) -> Any:
    """(B, T): the most probable token wherever the labels have one, else `IGNORED`."""
    likely = torch.full_like(labels, IGNORED)
    likely[:, 1:] = logits[:, :-1].argmax(-1)
    return likely.masked_fill(labels == IGNORED, IGNORED)


_LEAST = 1e-5  # of 1 - p, as in the published code


def eos_scores(logits: Any, labels: Any, ends: Sequence[int]) -> Any:
    """S of each row (B,); the higher, the more it teaches not to end.

    Args:
        logits: (B, T, V); labels: (B, T).
        ends: ids that end a sequence, at least one.
    """
    targets = labels[:, 1:]
    ending = torch.log_softmax(logits[:, :-1].float(), -1)[..., list(ends)].logsumexp(-1)
    is_end = torch.isin(targets, torch.tensor(list(ends), device=targets.device))
    goes_on = (targets != IGNORED) & ~is_end
    positive = -ending.masked_fill(~is_end, 0).sum(-1)
    negative = -(1 - ending.exp()).clamp(min=_LEAST).log().masked_fill(~goes_on, 0).sum(-1)
    return negative - positive


def selective_eos_loss(logits: Any, labels: Any, ends: Sequence[int]) -> Any:
    """The loss of Less-is-more; with no `ends` it is plain SFT's.

    Args:
        logits: (B, T, V); labels: (B, T).
        ends: ids that end a sequence.
    """
    targets = labels[:, 1:]
    counted = targets != IGNORED
    kept, wanted = logits[:, :-1][counted].float(), targets[counted]  # (N, V), (N,)
    excluded = torch.zeros_like(kept, dtype=torch.bool)
    excluded[:, list(ends)] = True
    excluded.scatter_(1, wanted.unsqueeze(-1), False)
    return cross_entropy(kept.masked_fill(excluded, -torch.inf), wanted)
