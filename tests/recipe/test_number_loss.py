"""The number's loss in expectation, against brute force over the numbers that might stand there."""

import math

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from transformers import AutoTokenizer

from recipe.difficulty_calib.digit_tokens import (
    DigitTokens,
    confidence_in,
    may_be_left_out,
    mean_number,
)
from recipe.difficulty_calib.number_loss import (
    AIMS,
    IDS,
    MASSES,
    MEANS,
    NO_TOKEN,
    OPTIONAL,
    REQUIRED,
    RULED_OUT,
    Aim,
    actor_loss,
    batch_fields,
    number_losses,
    projected,
    read_numbers,
)
from recipe.difficulty_calib.segments import (
    NUMBER,
    Rollout,
    SegmentOptions,
    decoded_pieces,
    number_targets,
    token_kinds,
)

POCKET = "data_prep/pocket/base_model"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(POCKET)


def rollout_of(tokenizer, number, group="q", **reward):
    text = f"1. The digit is 7. I'm sure.\nConfidence: {number}"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    given = {
        **{"acc": 1.0, "well_formed": 1.0, "expert_failed": 0.0, "factuality": 1.0},
        **{"alignment": 1.0, "consistency": 1.0, "confidence": confidence_in(number)},
    }
    kinds = token_kinds(decoded_pieces(tokenizer, ids))
    return ids, Rollout(group, kinds, {**given, **reward}, delta=0.5)


def alternatives_of(tokenizer, ids, rollout, before_point=False):
    pieces = decoded_pieces(tokenizer, ids)
    digits = DigitTokens(tokenizer, before_point)
    return digits.alternatives(pieces, ids, rollout.kinds == NUMBER)


@pytest.mark.parametrize(
    ("number", "values"),
    [
        # before the point: nothing, it stays with the advantage; the point alone; the last digit
        ("0.7", [set(), {0.7}, {i / 10 for i in range(10)}]),
        # behind "1." the reward reads a 0 alone; the 0 that "1.0" might have begun with is unknown
        ("1.0", [set(), {1.0}, {1.0}]),
        ("100%", [set()] * 3 + [set()]),
        (".7", [{0.7}, {i / 10 for i in range(10)}]),
        # the first decimal keeps the second
        (
            "0.75",
            [
                set(),
                {0.75},
                {i / 10 + 0.05 for i in range(10)},
                {0.7 + i / 100 for i in range(10)},
            ],
        ),
        ("85%", [{i / 10 + 0.05 for i in range(10)}, {0.8 + i / 100 for i in range(10)}, {0.85}]),
    ],
)
def test_alternatives_are_the_digits_in_a_tokens_place(tokenizer, number, values):
    ids, rollout = rollout_of(tokenizer, number)
    found = alternatives_of(tokenizer, ids, rollout)
    of_number = [token for token, kind in zip(found, rollout.kinds, strict=True) if kind == NUMBER]
    assert len(of_number) == len(values)
    assert sum(map(bool, found)) == sum(map(bool, values)), "no other token has any"
    assert [{round(v, 6) for _, v in token} for token in of_number] == [
        {round(v, 6) for v in expected} for expected in values
    ]
    places = [i for i, kind in enumerate(rollout.kinds) if kind == NUMBER]
    for place, token in zip(places, of_number, strict=True):
        if not token:
            continue
        assert dict(token)[ids[place]] == pytest.approx(confidence_in(number)), (
            "the drawn one is among them"
        )


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        ("0.7", [".", "0123456789"]),
        ("1", []),
        ("1.0", [".", "0"]),
        ("100%", []),
        ("1.5%", [".", "0123456789", "%"]),
    ],
)
def test_no_alternative_is_a_number_that_the_reward_does_not_read(tokenizer, number, digits):
    ids, rollout = rollout_of(tokenizer, number)
    found = [token for token in alternatives_of(tokenizer, ids, rollout) if token]
    spelled = ["".join(sorted(tokenizer.decode([i]).strip() for i, _ in token)) for token in found]
    assert spelled == digits


@pytest.mark.parametrize(
    ("number", "below"), [("0.7", 0.9), ("1.0", 0.9), ("0.75", 0.99), ("1.00", 0.99)]
)
def test_before_the_point_stand_one_and_the_number_next_below_it(tokenizer, number, below):
    ids, rollout = rollout_of(tokenizer, number)
    found = alternatives_of(tokenizer, ids, rollout, before_point=True)
    first = next(token for token in found if token)
    spelled = {tokenizer.decode([index]).strip(): value for index, value in first}
    assert spelled == pytest.approx({"0": below, "1": 1.0})
    behind = alternatives_of(tokenizer, ids, rollout)
    assert [token for token in found if token][1:] == [token for token in behind if token]


@pytest.mark.parametrize("number", [".7", "100%", "85%", "1"])
def test_without_a_digit_before_the_point_nothing_stands_there(tokenizer, number):
    ids, rollout = rollout_of(tokenizer, number)
    with_it, without = (alternatives_of(tokenizer, ids, rollout, b) for b in (True, False))
    assert with_it == without


def packed(tokenizer, rollouts, options):
    """A batch as verl gives it to the loss: prompts of three and five tokens."""
    prompts = [torch.ones(3 + 2 * (i % 2), dtype=torch.int64) for i in range(len(rollouts))]
    responses = [torch.tensor(ids) for ids, _ in rollouts]
    targets = number_targets([rollout for _, rollout in rollouts], options)
    aims = [
        Aim([[] for _ in ids])
        if target is None
        else Aim(
            alternatives_of(tokenizer, ids, rollout),
            target,
            options.number * rollout.delta,
            np.where(
                may_be_left_out(decoded_pieces(tokenizer, ids), rollout.kinds == NUMBER),
                OPTIONAL,
                REQUIRED,
            ),
        )
        for (ids, rollout), target in zip(rollouts, targets, strict=True)
    ]
    nested = {
        name: torch.nested.as_nested_tensor(tensors, layout=torch.jagged)
        for name, tensors in (("prompts", prompts), ("responses", responses))
    }
    return TensorDict(nested | batch_fields(aims), batch_size=len(rollouts)), prompts, responses


def test_the_last_digits_loss_is_the_exact_expectation_and_stands_where_it_is_predicted(tokenizer):
    options = SegmentOptions(target="instance", number_by="expected", number=2.0)
    rollouts = [rollout_of(tokenizer, "0.7"), rollout_of(tokenizer, "0.2", acc=0.0)]
    data, prompts, responses = packed(tokenizer, rollouts, options)
    total = sum(map(len, prompts)) + sum(map(len, responses))
    logits = torch.randn(1, total, len(tokenizer), generator=torch.Generator().manual_seed(0))
    found = number_losses(logits, data, step=None)[0]
    start = 0
    for (ids, rollout), prompt in zip(rollouts, prompts, strict=True):
        last = max(i for i, kind in enumerate(rollout.kinds) if kind == NUMBER)
        place = start + len(prompt) + last - 1
        chances = torch.softmax(logits[0, place], -1)
        by_digit = [chances[tokenizer.convert_tokens_to_ids(str(d))] for d in range(10)]
        target = rollout.reward["acc"]
        by_hand = -sum(p * 2.0 * 0.5 * (1 - (d / 10 - target) ** 2) for d, p in enumerate(by_digit))
        assert found[place] == pytest.approx(float(by_hand), rel=1e-5)
        assert (found[start : start + len(prompt) - 1] == 0).all(), "prompts are not paid"
        start += len(prompt) + len(ids)
    assert int((found != 0).sum()) == 2 * 2, "point and digit of each number"


def test_descent_makes_the_number_certain_of_the_best_one_and_never_breaks_it_off(tokenizer):
    options = SegmentOptions(target="hybrid", number_by="expected")
    rollouts = [rollout_of(tokenizer, "0.2", acc=1.0), rollout_of(tokenizer, "0.9", acc=0.0)]
    data, prompts, responses = packed(tokenizer, rollouts, options)
    total = sum(map(len, prompts)) + sum(map(len, responses))
    logits = torch.zeros(1, total, len(tokenizer), requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        number_losses(logits, data, step=None).sum().backward()
        optimizer.step()
    start = 0
    for (ids, rollout), prompt in zip(rollouts, prompts, strict=True):
        last = max(i for i, kind in enumerate(rollout.kinds) if kind == NUMBER)
        chances = torch.softmax(logits.detach()[0, start + len(prompt) + last - 1], -1)
        # hybrid: half of the verdict 1 or 0 and half of the mean 0.5 is 0.75 or 0.25
        near = ("7", "8") if rollout.reward["acc"] else ("2", "3")
        mass = sum(float(chances[tokenizer.convert_tokens_to_ids(d)]) for d in near)
        assert mass > 0.9
        start += len(prompt) + len(ids)


@pytest.mark.parametrize(
    ("number", "left_out"),
    [
        ("0.7", ""),
        ("0.75", "5"),
        ("0.4555", "555"),
        ("1.00", "0"),
        (".75", "5"),
        ("85%", "5"),
        ("100%", ""),
        ("1", ""),
    ],
)
def test_what_a_number_might_have_ended_before(tokenizer, number, left_out):
    ids, rollout = rollout_of(tokenizer, number)
    found = may_be_left_out(decoded_pieces(tokenizer, ids), rollout.kinds == NUMBER)
    assert "".join(tokenizer.decode([i]) for i, one in zip(ids, found, strict=True) if one) == (
        left_out
    )


@pytest.mark.parametrize(
    "by", [{"step": None}, {"step": 0.1}, {"step": None, "fitted": True}], ids=str
)
@pytest.mark.parametrize("number", ["0.75", "1.00", "85%"])
def test_no_number_is_paid_for_not_having_ended(tokenizer, number, by):
    """It grew, "0.4555555", until the response was full: a digit that was drawn beyond the first
    decimal raised all digits there, and one that was not drawn raised nothing.
    """
    options = SegmentOptions(target="instance", number_by="expected")
    ids, rollout = rollout_of(tokenizer, number)
    data, (prompt,), _ = packed(tokenizer, [(ids, rollout)], options)
    noise = torch.randn(1, len(prompt) + len(ids), len(tokenizer))
    logits = noise.requires_grad_()
    number_losses(logits, data, **by).sum().backward()
    paid = [i for i, kind in enumerate(rollout.kinds) if kind == NUMBER and i]
    optional = may_be_left_out(decoded_pieces(tokenizer, ids), rollout.kinds == NUMBER)
    digits = tokenizer.convert_tokens_to_ids(list("0123456789"))
    for place in paid:
        pull = logits.grad[0, len(prompt) + place - 1]
        others = pull.clone()
        others[digits] = 0
        # A softmax pulls a little, by rounding.
        if optional[place]:
            assert others.abs().max() < 1e-5 and abs(float(pull[digits].sum())) < 1e-4
        elif pull.abs().max() > 0:
            share = others.abs().sum() / pull.abs().sum()
            assert share > 0.1, "elsewhere the number is held together"
    assert optional.any()


def test_malformed_and_unjudged_answers_are_not_paid_and_count_in_no_mean(tokenizer):
    options = SegmentOptions(target="group", number_by="expected")
    rollouts = [
        rollout_of(tokenizer, "0.7", acc=1.0),
        rollout_of(tokenizer, "0.7", acc=0.0, well_formed=0.0),
        rollout_of(tokenizer, "0.7", acc=0.0, expert_failed=1.0),
    ]
    assert number_targets([r for _, r in rollouts], options) == [1.0, None, None]
    data, *_ = packed(tokenizer, rollouts, options)
    paid = [(ids != NO_TOKEN).any().item() for ids in data[IDS].unbind()]
    assert paid == [True, False, False]


def by_place(prompts, rollouts):
    """Of each rollout, the place whose logits predict the last token of its number."""
    start = 0
    for (ids, rollout), prompt in zip(rollouts, prompts, strict=True):
        last = max(i for i, kind in enumerate(rollout.kinds) if kind == NUMBER)
        yield start + len(prompt) + last - 1
        start += len(prompt) + len(ids)


def digits_of(tokenizer):
    return [tokenizer.convert_tokens_to_ids(str(digit)) for digit in range(10)]


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_projected_is_cross_entropy_to_the_neighbours_of_the_mean_one_step_on(tokenizer, step):
    options = SegmentOptions(target="instance", number=2.0)
    rollouts = [rollout_of(tokenizer, "0.7"), rollout_of(tokenizer, "0.2", acc=0.0)]
    data, prompts, responses = packed(tokenizer, rollouts, options)
    total = sum(map(len, prompts)) + sum(map(len, responses))
    logits = torch.randn(1, total, len(tokenizer), generator=torch.Generator().manual_seed(0))
    found = number_losses(logits, data, step=step)[0]
    for place, (_, rollout) in zip(by_place(prompts, rollouts), rollouts, strict=True):
        logs = torch.log_softmax(logits[0, place], -1)[digits_of(tokenizer)]
        chances = torch.softmax(logs, -1)  # among digits
        mean = sum(float(p) * digit / 10 for digit, p in enumerate(chances))
        aim = 10 * (mean + step * (rollout.reward["acc"] - mean))
        low = min(int(aim), 8)
        by_hand = -(low + 1 - aim) * float(logs[low]) - (aim - low) * float(logs[low + 1])
        if aim > 9:
            by_hand = -float(logs[9])
        assert found[place] == pytest.approx(2.0 * 0.5 * by_hand, rel=1e-4)


def test_projected_moves_digits_that_the_model_hardly_ever_says(tokenizer):
    """`expected` moves each in proportion to its probability, and so ends at what it began with."""
    options = SegmentOptions(target="instance")
    rollouts = [rollout_of(tokenizer, "0.2", acc=1.0)]
    data, prompts, responses = packed(tokenizer, rollouts, options)
    total = sum(map(len, prompts)) + sum(map(len, responses))
    (place,) = by_place(prompts, rollouts)
    high = {}
    for step in (None, 0.5):
        begin = torch.zeros(1, total, len(tokenizer))
        begin[0, place, digits_of(tokenizer)[2]] = 12.0  # all but certain of 0.2, and wrong
        logits = begin.requires_grad_()
        optimizer = torch.optim.SGD([logits], lr=1.0)
        for _ in range(60):
            optimizer.zero_grad()
            number_losses(logits, data, step=step).sum().backward()
            optimizer.step()
        chances = torch.softmax(logits.detach()[0, place], -1)[digits_of(tokenizer)]
        high[step] = float(chances[7:].sum())
    assert high[0.5] > 0.9 and high[None] < 0.1, high


def test_the_mean_that_is_projected_is_kept():
    values = torch.tensor([[0.9, 0.0, 0.3, 7.0], [0.25, 0.35, 0.15, 0.0], [0.5, 0.0, 0.0, 0.0]])
    counts = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0]], dtype=torch.bool)
    means = torch.tensor([[0.2], [0.95], [0.4]])
    onto = projected(means, values, counts)
    third = 1 / 3
    expected = [[0, third, 2 * third, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert torch.allclose(onto, torch.tensor(expected), atol=1e-6)


def one_answer(ids, aims, targets=True):
    """A batch of one answer behind three tokens of prompt."""
    nested = {"prompts": torch.ones(3, dtype=torch.int64), "responses": torch.tensor(ids)}
    fields = {k: torch.nested.as_nested_tensor([v], layout=torch.jagged) for k, v in nested.items()}
    return TensorDict(fields | batch_fields(aims, targets), batch_size=1)


def before_point(tokenizer, alternatives):
    """Token ids of the 0 and the 1 there; of a number without them, the digits'."""
    first = next(token for token in alternatives if len(token) > 1)
    by_text = {tokenizer.decode([index]).strip(): index for index, _ in first}
    return by_text["0"], by_text["1"]


def logits_of(tokenizer, prompts, responses):
    total = sum(map(len, prompts)) + sum(map(len, responses))
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, total, len(tokenizer), generator=generator)


@pytest.mark.parametrize(
    ("target", "mass"), [(0.62, {6: 0.8, 7: 0.2}), (0.95, {9: 1.0}), (1.0, {9: 1.0})]
)
def test_fitted_is_cross_entropy_squared_error_and_what_is_no_number(tokenizer, target, mass):
    ids, rollout = rollout_of(tokenizer, "0.2")
    alternatives = alternatives_of(tokenizer, ids, rollout, before_point=True)
    data = one_answer(ids, [Aim(alternatives, target, weight=2.0)])
    logits = logits_of(tokenizer, [torch.ones(3)], [ids])
    found = number_losses(logits, data, step=None, fitted=True)[0]
    (last,) = by_place([torch.ones(3)], [(ids, rollout)])
    zero, one = before_point(tokenizer, alternatives)
    # Before the point: 1.0 in so far as the target is above 0.9.
    share = max(0.0, (target - 0.9) / 0.1)
    digits = digits_of(tokenizer)
    for place, tokens, values, onto in (
        (last, digits, [digit / 10 for digit in range(10)], mass),
        (last - 2, [zero, one], [0.9, 1.0], {0: 1 - share, 1: share}),
    ):
        chances = torch.softmax(logits[0, place], -1)[tokens].tolist()
        total = sum(chances)
        by_hand = -sum(part * math.log(chances[index]) for index, part in onto.items())
        by_hand += 30 * sum(
            chance / total * (value - target) ** 2
            for chance, value in zip(chances, values, strict=True)
        )
        by_hand -= 10 * math.log(total)
        assert found[place] == pytest.approx(2.0 * by_hand, rel=1e-4)


def test_fitted_makes_the_number_certain_of_the_mean_of_targets_that_differ(tokenizer):
    """The same answer with 0.2 and 0.8 as targets:
    cross-entropy alone would learn to state either.
    """
    ids, rollout = rollout_of(tokenizer, "0.2")
    alternatives = alternatives_of(tokenizer, ids, rollout, before_point=True)
    (last,) = by_place([torch.ones(3)], [(ids, rollout)])
    logits = torch.zeros(1, 3 + len(ids), len(tokenizer), requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        for target in (0.2, 0.8):
            data = one_answer(ids, [Aim(alternatives, target, weight=1.0)])
            number_losses(logits, data, step=None, fitted=True).sum().backward()
        optimizer.step()
    digits = torch.softmax(logits.detach()[0, last], -1)[digits_of(tokenizer)]
    values = torch.arange(10) / 10
    mean = float((digits * values).sum())
    spread = float((digits * (values - mean) ** 2).sum().sqrt())
    assert digits.sum() > 0.99
    assert mean == pytest.approx(0.5, abs=0.03) and spread < 0.2, (mean, spread)


@pytest.mark.parametrize("number", ["0.2", "1.0", ".2"])
def test_the_mean_number_by_hand(tokenizer, number):
    """All numbers of one decimal, weighed by the chance that the model states them here."""
    ids, rollout = rollout_of(tokenizer, number)
    alternatives = alternatives_of(tokenizer, ids, rollout, before_point=True)
    data = one_answer(ids, [Aim(alternatives)], targets=False)
    assert AIMS not in data
    logits = logits_of(tokenizer, [torch.ones(3)], [ids])
    means = actor_loss(None, data, student_logits=logits)[MEANS]
    assert torch.equal(means, read_numbers(logits, data)[MEANS])
    # Of token t at the place that predicts it: 3 prompt tokens, one place on.
    found = mean_number(alternatives, means[0, 2:-1].tolist())
    (last,) = by_place([torch.ones(3)], [(ids, rollout)])
    zero, one = before_point(tokenizer, alternatives)
    digits = torch.softmax(logits[0, last, digits_of(tokenizer)], -1)
    behind_zero = float(sum(p * d / 10 for d, p in enumerate(digits)))
    if number.startswith("1"):
        behind_zero = 0.9  # what else is unknown
    chance_of_one = float(torch.softmax(logits[0, last - 2, [zero, one]], -1)[1])
    if number.startswith("."):
        chance_of_one = 0.0
    by_hand = chance_of_one + (1 - chance_of_one) * behind_zero
    assert found == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("decimals", [1, 2, 3, 7, 8, 16, 17, 20])
def test_the_mean_of_a_number_of_many_decimals_by_hand(tokenizer, decimals):
    """A policy may state "0.200000000000000000": that ended a training with a division by 0."""
    ids, rollout = rollout_of(tokenizer, "0.2" + "0" * (decimals - 1))
    alternatives = alternatives_of(tokenizer, ids, rollout, before_point=True)
    data = one_answer(ids, [Aim(alternatives)], targets=False)
    logits = logits_of(tokenizer, [torch.ones(3)], [ids])
    means = read_numbers(logits, data)[MEANS]
    found = mean_number(alternatives, means[0, 2:-1].tolist())
    first, second, *_ = (place for place, token in enumerate(alternatives) if len(token) > 1)
    # Behind 3 prompt tokens; a token is predicted one place before it.
    digits = torch.softmax(logits[0, second + 2, digits_of(tokenizer)], -1)
    behind_zero = float(sum(p * d / 10 for d, p in enumerate(digits)))
    zero_one = list(before_point(tokenizer, alternatives))
    chance_of_one = float(torch.softmax(logits[0, first + 2, zero_one], -1)[1])
    assert 0.05 < chance_of_one < 0.95
    by_hand = chance_of_one + (1 - chance_of_one) * behind_zero
    assert found == pytest.approx(by_hand, rel=1e-3)


def test_an_answer_without_a_number_that_could_be_another_has_no_mean(tokenizer):
    ids, rollout = rollout_of(tokenizer, "100%")
    assert mean_number(alternatives_of(tokenizer, ids, rollout, True), [0.0] * len(ids)) is None


def test_the_references_batch_has_no_loss(tokenizer):
    nested = torch.nested.as_nested_tensor([torch.ones(4)], layout=torch.jagged)
    loss, metrics = actor_loss(None, TensorDict({}, batch_size=1), {"log_probs": nested})
    assert float(loss) == 0 and metrics == {}


def test_where_digits_are_ruled_out_what_is_spilt_onto_them_costs(tokenizer):
    """At the "digit" of "The digit is 7": 10 times - log of all but the digits, by the weight."""
    ids, _ = rollout_of(tokenizer, "0.2")
    digits = DigitTokens(tokenizer).all_digits()
    place = next(i for i, token in enumerate(ids) if tokenizer.decode([token]).strip() == "digit")
    alternatives = [digits if i == place else [] for i in range(len(ids))]
    standing = np.full(len(ids), RULED_OUT)
    data = one_answer(ids, [Aim(alternatives, 0.5, 2.0, standing)])
    logits = logits_of(tokenizer, [torch.ones(3)], [ids]).requires_grad_()
    found = number_losses(logits, data, step=None, fitted=True)[0]
    chances = torch.softmax(logits.detach()[0, place + 2], -1)
    spilt = float(chances[[index for index, _ in digits]].sum())
    by_hand = -2.0 * 10 * math.log(1 - spilt)
    assert float(found[place + 2].detach()) == pytest.approx(by_hand, rel=1e-4)
    assert int((found != 0).sum()) == 1
    masses = read_numbers(logits.detach(), data)[MASSES]
    assert float(masses[0, place + 2]) == pytest.approx(spilt, rel=1e-4)
    found.sum().backward()
    assert all(logits.grad[0, place + 2, index] > 0 for index, _ in digits), "descent lowers each"
