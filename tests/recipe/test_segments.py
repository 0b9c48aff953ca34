"""Advantages by segment: spans by the reward's own parser,
each token paid by its own segment's reward only.
"""

import numpy as np
import pytest
from transformers import AutoTokenizer

from recipe.difficulty_calib.segments import (
    CLAIM,
    NUMBER,
    REST,
    TAG,
    Rollout,
    SegmentOptions,
    decoded_pieces,
    segment_advantages,
    segment_curves,
    token_kinds,
)
from reward_fns.claims import parse_response
from reward_fns.errors import ConfigurationError

RESPONSE = "1. The digit is 7. I'm sure.\n2. It is red. I'm not sure.\nConfidence: 0.7"
KINDS = np.array([REST, CLAIM, TAG, NUMBER, REST], dtype=np.int8)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained("data_prep/pocket/base_model")


def reward(**changes):
    return {
        **{"factuality": 0.5, "alignment": 0.5, "consistency": 1.0, "penalty": -0.1},
        **{"acc": 1.0, "confidence": 0.5, "well_formed": 1.0, "expert_failed": 0.0},
        **changes,
    }


def group(*rewards, delta=1.0):
    return [Rollout("q", KINDS, r, delta) for r in rewards]


def by_kind(rollouts, **options):
    """Advantage of each segment of each rollout, (n, 4)."""
    found = segment_advantages(rollouts, SegmentOptions(**options))
    return np.array(
        [[a[r.kinds == k][0] for k in range(4)] for r, a in zip(rollouts, found, strict=True)]
    )


def text_of(pieces, kinds, kind):
    return "".join(p if k == kind else "|" for p, k in zip(pieces, kinds, strict=True))


def test_spans_are_those_of_the_parser(tokenizer):
    ids = tokenizer(RESPONSE, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    pieces = decoded_pieces(tokenizer, ids)
    kinds = token_kinds(pieces)
    assert "".join(pieces) == RESPONSE and len(kinds) == len(ids)

    def said(kind):
        return [part for part in text_of(pieces, kinds, kind).split("|") if part]

    assert [part.strip() for part in said(CLAIM)] == ["The digit is 7.", "It is red."]
    # A tokenizer may join a tag's period to the line's end.
    assert [part.strip().strip(".") for part in said(TAG)] == ["I'm sure", "I'm not sure"]
    assert [part.strip() for part in said(NUMBER)] == ["0.7"]
    assert kinds[-1] == REST


def test_a_word_like_the_heading_s_in_a_claim_is_no_number(tokenizer):
    """One word's id is no span: the spike paid everything behind the word "Confidence"."""
    text = "1. Confidence is high in the 0.9 seen. I'm sure.\nConfidence: 0.2"
    pieces = decoded_pieces(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])
    kinds = token_kinds(pieces)
    assert parse_response(text).well_formed
    assert text_of(pieces, kinds, NUMBER).replace("|", "").strip() == "0.2"
    assert "0.9" in text_of(pieces, kinds, CLAIM)


@pytest.mark.parametrize(
    ("lines", "paid"),
    [
        ("Confidence: 85%", ["85%"]),
        ("Confidence: 85 %.", ["85 %"]),
        ("Confidence: 0.7\nOverall confidence: 0.7", ["0.7", "0.7"]),
        ("Confidence: 70%\nOverall confidence: 0.7", ["70%", "0.7"]),
        ("Confidence: 0.7\n%", ["0.7"]),
    ],
)
def test_all_that_states_the_number_is_paid_for_it(lines, paid):
    """A character a token: what is paid is what is marked."""
    pieces = list(f"1. It is 85% and 0.7. I'm sure.\n{lines}")
    kinds = token_kinds(pieces)
    assert parse_response("".join(pieces)).well_formed
    said = [part for part in text_of(pieces, kinds, NUMBER).split("|") if part]
    assert said == paid
    assert text_of(pieces, kinds, CLAIM).strip("|") == "It is 85% and 0.7."


@pytest.mark.parametrize("text", ["The digit is 7.", "", "1. The digit is 7.\nConfidence: 2"])
def test_a_malformed_response_has_no_number(tokenizer, text):
    pieces = decoded_pieces(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])
    assert NUMBER not in token_kinds(pieces)


def test_characters_of_several_tokens_keep_the_places(tokenizer):
    text = "1. It says \u6771\u4eac. I'm sure.\nConfidence: 0.7"
    pieces = decoded_pieces(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])
    assert text_of(pieces, token_kinds(pieces), NUMBER).replace("|", "").strip() == "0.7"


def test_each_segment_is_paid_by_its_own_part_by_hand():
    rollouts = group(
        reward(factuality=1.0, alignment=0.0, consistency=1.0, confidence=1.0, acc=1.0),
        reward(factuality=0.0, alignment=1.0, consistency=0.5, confidence=0.5, acc=0.0),
        delta=2.0,
    )
    found = by_kind(rollouts, target="instance", claim=1.0, tag=2.0, number=4.0)
    # claim 1 and 0; tag 2 * 1.0 and 2 * 1.5; number -4 * 2 * 0 and -4 * 2 * 0.25;
    # against their means
    assert found[:, CLAIM] == pytest.approx([0.5, -0.5])
    assert found[:, TAG] == pytest.approx([-0.5, 0.5])
    assert found[:, NUMBER] == pytest.approx([1.0, -1.0])
    assert found[:, REST] == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize(
    ("target", "expected"),
    # Verdicts 1 and 0, their mean 0.5; numbers 0.8 and 0.6. Losses, then the mean loss minus each.
    [
        ("instance", (0.04, 0.36)),
        ("group", (0.09, 0.01)),
        ("hybrid", (0.05**2, 0.35**2)),
    ],
)
def test_the_targets_of_the_number_by_hand(target, expected):
    rollouts = group(reward(acc=1.0, confidence=0.8), reward(acc=0.0, confidence=0.6))
    found = by_kind(rollouts, target=target, number=1.0)[:, NUMBER]
    assert found == pytest.approx([np.mean(expected) - loss for loss in expected])


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ({"factuality": 3.0}, {CLAIM}),
        ({"alignment": 3.0}, {TAG}),
        ({"consistency": 3.0}, {TAG}),
        ({"confidence": 0.1}, {NUMBER}),
        ({"penalty": -3.0}, set()),  # the number's loss stands on confidence and verdict
    ],
)
def test_a_token_s_advantage_depends_on_its_segment_s_reward_only(changed, kinds):
    others = [reward(), reward(acc=0.0, confidence=0.9)]
    before = by_kind(group(reward(), *others))
    after = by_kind(group(reward(**changed), *others))
    moved = {kind for kind in range(4) if not np.array_equal(before[:, kind], after[:, kind])}
    assert moved == kinds


@pytest.mark.parametrize("target", ["instance", "group", "hybrid"])
def test_the_best_number_is_the_chance_of_being_right(target):
    """Over many groups: of all constants the expected advantage is best at p."""
    rng = np.random.default_rng(0)
    options, p = SegmentOptions(target=target), 0.7
    values = np.round(np.arange(0, 1.01, 0.1), 1)
    total = np.zeros(len(values))
    for _ in range(400):
        verdicts = (rng.uniform(size=len(values)) < p).astype(float)
        rollouts = group(
            *(reward(acc=y, confidence=v) for y, v in zip(verdicts, values, strict=True))
        )
        total += [a[KINDS == NUMBER][0] for a in segment_advantages(rollouts, options)]
    assert values[total.argmax()] == p


def test_a_malformed_response_is_pushed_away_as_a_whole_and_the_others_form_is_kept():
    rollouts = group(
        reward(), reward(), reward(well_formed=0.0, confidence=-1.0, acc=0.0), delta=3.0
    )
    found = by_kind(rollouts)
    assert found[2] == pytest.approx([-2.0] * 4)  # -3 against the mean -1
    assert found[:2, REST] == pytest.approx([1.0, 1.0])
    # Its confidence of -1 and its verdict count in no mean.
    assert found[:2, 1:] == pytest.approx(np.zeros((2, 3)))


def test_a_failed_expert_moves_nothing():
    alone = by_kind(group(reward(), reward(acc=0.0, factuality=0.0)))
    failed = reward(expert_failed=1.0, acc=0.0, factuality=9.0, well_formed=1.0)
    with_it = by_kind(group(reward(), reward(acc=0.0, factuality=0.0), failed))
    assert np.array_equal(with_it[:2], alone) and not with_it[2].any()


def test_groups_do_not_mix():
    first = group(reward(), reward(factuality=0.0))
    second = [Rollout("other", KINDS, reward(factuality=9.0), 1.0)]
    assert np.array_equal(by_kind([*first, *second])[:2], by_kind(first))
    assert not by_kind([*first, *second])[2].any()


def test_division_by_the_deviation_is_by_segment():
    rollouts = group(reward(factuality=1.0), reward(factuality=0.0))
    found = segment_advantages(rollouts, SegmentOptions(), divide_by_std=True)
    # 0.5 over the deviation of (1, 0) with n - 1: 0.7071
    assert found[0][KINDS == CLAIM][0] == pytest.approx(0.5**0.5, abs=1e-4)
    assert found[0][KINDS == TAG][0] == pytest.approx(0.0, abs=1e-6)


def test_curves_show_each_segment():
    rollouts = group(reward(factuality=1.0), reward(factuality=0.0))
    curves = segment_curves(rollouts, segment_advantages(rollouts, SegmentOptions()))
    assert curves["segment/claim/tokens"] == pytest.approx(0.2)
    assert curves["segment/claim/advantage"] == pytest.approx(0.5)
    assert curves["segment/number/advantage"] == 0.0


@pytest.mark.parametrize(
    "wrong", [{"target": "batch"}, {"number": -1.0}, {"number": float("nan")}, {"tag": "4"}]
)
def test_wrong_options_are_named(wrong):
    with pytest.raises(ConfigurationError, match="segments"):
        SegmentOptions(**wrong)
