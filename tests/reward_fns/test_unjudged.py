"""No text put into a response raises its reward unless the judge saw it."""

import pytest
from hypothesis import find, given, settings

from reward_fns.claims import parse_response
from tests.reward_fns.unjudged import (
    check_that_an_insertion_raises_no_reward_unjudged,
    edits,
    rewarded,
    unaccounted,
)

WRONG_LINES = [
    "1. The digit is 3. I'm sure.",
    "The digit is 3. I'm sure.",
    "1.The digit is 3. I'm sure.",
    "**1.** The digit is 3. I'm sure.",
    "a) The digit is 3. I'm sure.",
    "> The digit is 3. I'm sure.",
    "# The digit is 3. I'm sure.",
    "The digit is 3.",
    "1.The digit is 3.",
    "3",
]
RIGHT = "2. The digit is 7. I'm sure."


@pytest.mark.parametrize("line", WRONG_LINES)
@pytest.mark.parametrize("rule", ["paper", "proper", "log"])
def test_a_wrong_line_pays_however_it_is_written(line, rule):
    # VQAv2, rule paper: alpha + beta + gamma = 3.456 for the right claim alone. Beside a wrong,
    # sure claim half of alpha and beta is left and the penalty is delta: 1.172.
    whole, _, _ = rewarded(f"{RIGHT}\nConfidence: 1", rule)
    judged_wrong, _, _ = rewarded(f"1. The digit is 3. I'm sure.\n{RIGHT}\nConfidence: 1", rule)
    if rule == "paper":
        assert (whole, judged_wrong) == pytest.approx((3.456, 1.172), abs=5e-4)
    for response in (
        f"{line}\n{RIGHT}\nConfidence: 1",
        f"{RIGHT}\n{line}\nConfidence: 1",
        f"{RIGHT}\nConfidence: 1\n{line}",
    ):
        assert rewarded(response, rule)[0] <= judged_wrong < whole


@settings(max_examples=300)
@given(edits)
def test_an_insertion_raises_no_reward_unless_the_judge_saw_it(edit):
    check_that_an_insertion_raises_no_reward_unjudged(edit, "paper")


def test_the_property_is_not_empty():
    """Some insertions do raise the reward, and the accounting sees text that nobody judges."""
    found = find(
        edits, lambda edit: check_that_an_insertion_raises_no_reward_unjudged(edit, "paper")
    )
    assert found
    response = "It is 3.\n1. The digit is 7. I'm sure.\nConfidence: 0.5 or 4"
    parsed = parse_response(response, spans=True)
    assert unaccounted(response, parsed, ["The digit is 7."]) == "Itis3Confidence05or4"
