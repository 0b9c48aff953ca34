import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.claims import Claim, ParsedResponse, parse_response
from reward_fns.difficulty import Coefficients, coefficients
from reward_fns.scoring import RULES, score

# Powers of ten keep the four terms apart in one number.
APART = Coefficients(alpha=1, beta=10, gamma=100, delta=1000)


def response(*claims: tuple[str, bool], confidence: float) -> ParsedResponse:
    return ParsedResponse(tuple(Claim(text, sure) for text, sure in claims), confidence)


THREE = response(("A dog.", True), ("A cat.", True), ("A cow.", False), confidence=0.75)


def test_the_paper_rule_is_algorithm_1():
    # labels 1, 0, 1: sum chat = 2, m = 1, 0, 0, mean(s) = 2/3
    reward = score(THREE, (1, 0, 1), 0.25, APART, "paper")
    assert reward.factuality == pytest.approx(1 * 2 / 3)
    assert reward.alignment == pytest.approx(10 * 1 / 3)
    assert reward.consistency == pytest.approx(100 * (1 - (0.75 - 2 / 3)))
    assert reward.penalty == pytest.approx(-1000 * (0.75 - 0.25))
    assert reward.total == pytest.approx(2 / 3 + 10 / 3 + 100 * 11 / 12 - 500)


def test_the_proper_rule_has_the_brier_penalty_and_asks_for_the_direction_only():
    reward = score(THREE, (1, 0, 1), 0.25, APART, "proper")
    assert (reward.factuality, reward.alignment) == (pytest.approx(2 / 3), pytest.approx(10 / 3))
    assert reward.consistency == 100  # mean(s) = 2/3 and o = 0.75 stand on the same side of 1/2
    assert reward.penalty == pytest.approx(-1000 * 0.5**2)


@pytest.mark.parametrize(
    ("tags", "confidence", "cons"),
    [
        ((True,), 0.5, 1),
        ((True,), 0.3, 0.6),  # 1 - 2 (0.5 - 0.3)
        ((True,), 0.0, 0),
        ((False,), 0.5, 1),
        ((False,), 0.8, 0.4),  # 1 - 2 (0.8 - 0.5)
        ((False,), 1.0, 0),
        ((True, False), 0.0, 1),
        ((True, False), 1.0, 1),
        ((True, True, False), 0.4, 0.8),
    ],
)
def test_the_consistency_of_direction(tags, confidence, cons):
    parsed = response(*((f"Fact {i}.", tag) for i, tag in enumerate(tags)), confidence=confidence)
    reward = score(parsed, [0] * len(tags), 0, APART, "proper")
    assert reward.consistency == pytest.approx(100 * cons)


def test_the_default_rule_is_the_paper_s():
    assert score(THREE, (1, 0, 1), 1, APART) == score(THREE, (1, 0, 1), 1, APART, "paper")


def test_a_reward_in_table_4_coefficients():
    # VQAv2: alpha 1.2990, beta 1.2616, gamma 0.8957, delta 1.0036; one sure, true claim, o = 0.7
    parsed = parse_response("1. The digit is 7. I'm sure.\nConfidence: 0.7")
    reward = score(parsed, (1,), 1, coefficients("VQAv2"))
    assert reward.total == pytest.approx(1.2990 + 1.2616 + 0.8957 * 0.7 - 1.0036 * 0.3)


def expected(rule, p, tag, confidence, weights):
    parsed = response(("A dog.", bool(tag)), confidence=confidence)
    right, wrong = (score(parsed, (label,), label, weights, rule).total for label in (1, 0))
    return p * right + (1 - p) * wrong


GRID = np.linspace(0, 1, 101)
WEIGHTS = [
    Coefficients(1, 1, 1, 1),
    coefficients("VQAv2"),
    coefficients("TextVQA"),
    Coefficients(0, 0.1, 3, 1),
]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("p", [0.05, 0.3, 0.49, 0.51, 0.62, 0.95])
def test_the_paper_rule_is_best_at_confidence_0_or_1(weights, p):
    for tag in (0, 1):
        best = GRID[np.argmax([expected("paper", p, tag, o, weights) for o in GRID])]
        # slope in o: gamma (2 s - 1) + delta (2 p - 1)
        slope = weights.gamma * (2 * tag - 1) + weights.delta * (2 * p - 1)
        assert best == (1 if slope > 0 else 0)
    honest = int(p > 0.5)
    assert GRID[np.argmax([expected("paper", p, honest, o, weights) for o in GRID])] == honest


@pytest.mark.parametrize("rule", ["proper", "log"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("p", [0.05, 0.3, 0.49, 0.51, 0.62, 0.95])
def test_a_proper_rule_is_best_at_the_honest_tag_and_the_true_probability(weights, p, rule):
    choices = list(itertools.product((0, 1), GRID))
    tag, confidence = choices[np.argmax([expected(rule, p, tag, o, weights) for tag, o in choices])]
    assert tag == int(p > 0.5)
    assert confidence == pytest.approx(p)


def test_the_log_rule_by_hand():
    # log(1 / 0.7) / log(100); at the wrong end exactly the whole penalty,
    # at the right one that of 0.99
    penalties = {
        o: score(response(("A.", True), confidence=o), (1,), 1, Coefficients(0, 0, 0, 1), "log")
        for o in (0.0, 0.7, 1.0)
    }
    assert penalties[0.0].penalty == -1
    assert penalties[0.7].penalty == pytest.approx(math.log(0.7) / math.log(100))
    assert penalties[1.0].penalty == pytest.approx(math.log(0.99) / math.log(100))


def test_the_proper_rule_with_tags_against_the_expected_verdict_stops_at_one_half_at_most():
    # One claim of two tagged unsure would tie; all sure, q = 0.2:
    # o* = min(1/2, q + gamma / delta) = 0.2 + 0.1
    weights = Coefficients(1, 1, 0.1, 1)
    parsed = [response(("A.", True), ("B.", True), confidence=o) for o in GRID]
    rewards = [
        sum(w * score(x, (0, 0), y, weights, "proper").total for y, w in ((1, 0.2), (0, 0.8)))
        for x in parsed
    ]
    assert GRID[np.argmax(rewards)] == pytest.approx(0.3)
    weights = Coefficients(1, 1, 1, 1)
    rewards = [
        sum(w * score(x, (0, 0), y, weights, "proper").total for y, w in ((1, 0.2), (0, 0.8)))
        for x in parsed
    ]
    assert GRID[np.argmax(rewards)] == pytest.approx(0.5)


weights_strategy = st.builds(Coefficients, *[st.floats(0, 3)] * 4)
names = st.sampled_from(["A dog.", "A cat.", "A cow.", "A red hen.", "A blue hen."])
labelled_claims = st.lists(
    st.tuples(names, st.booleans(), st.sampled_from([0, 1])), min_size=1, max_size=8
)
units = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0])
rules = st.sampled_from(sorted(RULES))


def scored(items, confidence, overall, weights, rule):
    parsed = response(*((text, sure) for text, sure, _ in items), confidence=confidence)
    return score(parsed, [label for *_, label in items], overall, weights, rule)


@given(labelled_claims, units, units, weights_strategy, rules)
def test_the_terms_sum_to_the_total_within_its_bounds(items, confidence, overall, weights, rule):
    reward = scored(items, confidence, overall, weights, rule)
    assert (
        reward.total == reward.factuality + reward.alignment + reward.consistency + reward.penalty
    )
    upper = weights.alpha + weights.beta + weights.gamma
    assert -weights.delta - 1e-9 <= reward.total <= upper + 1e-9
    assert min(reward.factuality, reward.alignment) >= 0 >= reward.penalty
    assert reward.consistency >= -1e-9


@given(labelled_claims, units, units, weights_strategy, rules, st.data())
def test_repeating_a_claim_anywhere_with_either_tag_never_raises_the_reward(
    items, confidence, overall, weights, rule, data
):
    # An expert gives the same text the same label; the copies of `items` itself may differ in tag.
    labels = {text: label for text, _, label in items}
    items = [(text, sure, labels[text]) for text, sure, _ in items]
    text, _, label = data.draw(st.sampled_from(items))
    copy = (
        data.draw(st.sampled_from([text, text.upper(), text.removesuffix(".")])),
        data.draw(st.booleans()),
        label,
    )
    place = data.draw(st.integers(0, len(items)))
    longer = [*items[:place], copy, *items[place:]]
    before = scored(items, confidence, overall, weights, rule).total
    assert scored(longer, confidence, overall, weights, rule).total <= before + 1e-9


@given(labelled_claims, units, units, weights_strategy, rules, st.data())
def test_a_repeated_claim_that_the_expert_labels_differently_never_raises_the_reward(
    items, confidence, overall, weights, rule, data
):
    text, *_ = data.draw(st.sampled_from(items))
    longer = [*items, (text, data.draw(st.booleans()), data.draw(st.sampled_from([0, 1])))]
    before = scored(items, confidence, overall, weights, rule).total
    assert scored(longer, confidence, overall, weights, rule).total <= before + 1e-9


@given(
    labelled_claims, units, units, weights_strategy, rules, st.sampled_from(["", " ", "...", "-"])
)
def test_adding_an_empty_claim_never_raises_the_reward(
    items, confidence, overall, weights, rule, empty
):
    before = scored(items, confidence, overall, weights, rule).total
    assert scored([*items, (empty, True, 1)], confidence, overall, weights, rule).total <= before


def test_a_repeated_claim_with_both_tags_counts_as_its_worse_copy():
    # The claim is true: sure earns alpha + beta, unsure alpha. cons at o = 1:
    # 1 for sure, 0 for unsure.
    both = response(("A dog.", True), ("a dog", False), confidence=1.0)
    reward = score(both, (1, 1), 1, APART)
    assert (reward.factuality, reward.alignment, reward.consistency, reward.penalty) == (1, 0, 0, 0)


MALFORMED = [
    ParsedResponse((), 0.5, ("no_claims",)),
    ParsedResponse((Claim("A dog.", True),), None, ("no_confidence",)),
    ParsedResponse((Claim("A dog.", True),), 0.9, ("missing_tag",)),
    ParsedResponse((), 0.5),
    ParsedResponse((Claim("A dog.", True),), None),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("parsed", MALFORMED)
def test_a_malformed_response_earns_exactly_the_lowest_reward_of_a_well_formed_one(parsed, rule):
    reward = score(parsed, [1] * len(parsed.claims), 1, APART, rule)
    # A sure, wrong claim with o = 0 where the expert says 1: no factuality, no alignment,
    # cons = 0, loss = 1.
    lowest = score(response(("A dog.", True), confidence=0.0), (0,), 1, APART, rule)
    assert reward == lowest
    assert reward.total == -1000


def test_a_malformed_response_needs_no_labels():
    assert score(MALFORMED[1], (), 0, APART).total == -APART.delta


@pytest.mark.parametrize(
    ("labels", "overall", "rule", "message"),
    [
        ((1, 0), 1, "paper", "one label a claim"),
        ((1, 0, 2), 1, "paper", "0 or 1"),
        ((1, 0, 0.5), 1, "paper", "0 or 1"),
        ((1, 0, 1), 1.5, "paper", "outside"),
        ((1, 0, 1), float("nan"), "paper", "outside"),
        ((1, 0, 1), 1, "brier", "paper, proper"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_the_remedy(labels, overall, rule, message):
    with pytest.raises(ValueError, match=message):
        score(THREE, labels, overall, APART, rule)


def test_a_confidence_out_of_range_is_an_error():
    with pytest.raises(ValueError, match="parse_response"):
        score(response(("A dog.", True), confidence=1.5), (1,), 1, APART)


def test_a_score_is_frozen():
    with pytest.raises(AttributeError):
        score(THREE, (1, 0, 1), 1, APART).penalty = 0
