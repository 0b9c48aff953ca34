"""The losses against hand computation."""

import math

import pytest
import torch

from recipe.difficulty_calib.preference.losses import (
    IGNORED,
    dpo_loss,
    eos_scores,
    most_likely_tokens,
    selective_eos_loss,
    sequence_logprobs,
)


def logits_of(*rows):
    """Logits whose softmax is these probabilities; a last position is added that nobody reads."""
    uniform = [1 / len(rows[0][0])] * len(rows[0][0])
    return torch.tensor([[*row, uniform] for row in rows], dtype=torch.float64).log()


LABELS = torch.tensor([[IGNORED, 0, 1], [IGNORED, 2, IGNORED]])
POLICY = logits_of(([0.5, 0.25, 0.25], [0.2, 0.6, 0.2]), ([0.1, 0.1, 0.8], [0.4, 0.3, 0.3]))
REFERENCE = logits_of(([0.25, 0.5, 0.25], [0.2, 0.3, 0.5]), ([0.4, 0.2, 0.4], [0.4, 0.3, 0.3]))


def test_an_answer_s_log_probability_is_the_sum_over_its_tokens():
    found = sequence_logprobs(POLICY, LABELS)
    # 0.5 * 0.6 = 3/10; the second row has one token, 8/10
    assert found.exp().tolist() == pytest.approx([3 / 10, 8 / 10])


def test_dpo_on_two_records_is_the_hand_computed_loss():
    # policy 3/10 and 8/10, reference 1/4 * 3/10 = 3/40 and 4/10: ratios 4 and 2
    ratios = sequence_logprobs(POLICY, LABELS) - sequence_logprobs(REFERENCE, LABELS)
    assert ratios.exp().tolist() == pytest.approx([4, 2])
    # two records: (4 over 2), and (2 over 4). With beta = 1, sigmoid(log(4 / 2)) = 2/3 and 1/3
    loss = dpo_loss(ratios, ratios.flip(0), 1.0)
    assert loss.item() == pytest.approx((-math.log(2 / 3) - math.log(1 / 3)) / 2)
    # beta = 2: sigmoid(2 log 2) = 4/5 and 1/5
    loss = dpo_loss(ratios, ratios.flip(0), 2.0)
    assert loss.item() == pytest.approx((-math.log(4 / 5) - math.log(1 / 5)) / 2)


def test_a_policy_that_is_its_reference_has_ln_2():
    zero = torch.zeros(3)
    assert dpo_loss(zero, zero, 0.1).item() == pytest.approx(math.log(2))


def test_povid_takes_the_noised_image_s_tokens_where_the_answer_has_one():
    # row 0: 0 then 2; row 1: 0, and its second position is padding
    assert most_likely_tokens(
        logits_of(([0.6, 0.2, 0.2], [0.1, 0.2, 0.7]), ([0.5, 0.3, 0.2], [0.1, 0.8, 0.1])), LABELS
    ).tolist() == [[IGNORED, 0, 2], [IGNORED, 0, IGNORED]]


END = 2


def test_selective_eos_leaves_the_end_out_where_it_is_not_the_label():
    labels = torch.tensor([[IGNORED, 0, END]])
    logits = logits_of(([0.3, 0.2, 0.5], [0.2, 0.2, 0.6]))
    # 0.3 of 0.3 + 0.2, the end out: 3/5; then the end among all: 3/5
    assert selective_eos_loss(logits, labels, (END,)).item() == pytest.approx(-math.log(3 / 5))
    # plain: 3/10 and 6/10
    plain = selective_eos_loss(logits, labels, ())
    assert plain.item() == pytest.approx(-(math.log(3 / 10) + math.log(6 / 10)) / 2)


def test_selective_eos_gives_the_end_no_gradient_where_it_is_not_the_label():
    logits = logits_of(([0.3, 0.2, 0.5], [0.2, 0.2, 0.6])).requires_grad_()
    selective_eos_loss(logits, torch.tensor([[IGNORED, 0, END]]), (END,)).backward()
    assert logits.grad[0, 0, END] == 0
    assert logits.grad[0, 1, END] < 0
    assert torch.isfinite(logits.grad).all()


def test_the_score_of_eos_supervision_by_hand():
    labels = torch.tensor([[IGNORED, 0, END], [IGNORED, 1, IGNORED]])
    logits = logits_of(([0.3, 0.2, 0.5], [0.2, 0.2, 0.6]), ([0.1, 0.15, 0.75], [0.4, 0.3, 0.3]))
    # goes on at 5/10 and ends at 6/10: -log(1/2) + log(6/10);
    # a cut answer goes on at 3/4: -log(1/4)
    assert eos_scores(logits, labels, (END,)).tolist() == pytest.approx(
        [math.log(2) + math.log(6 / 10), math.log(4)]
    )
    # two ids that end: 1 and 2 together
    both = eos_scores(logits, torch.tensor([[IGNORED, 0, END], [IGNORED, 0, IGNORED]]), (1, END))
    assert both.tolist() == pytest.approx([-math.log(0.3) + math.log(0.8), -math.log(0.1)])
