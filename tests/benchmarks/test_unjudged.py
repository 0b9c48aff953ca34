"""The property of tests/reward_fns/test_unjudged.py at length, under both rules."""

import pytest
from hypothesis import given, settings

from tests.reward_fns.unjudged import check_that_an_insertion_raises_no_reward_unjudged, edits


@pytest.mark.parametrize("rule", ["paper", "proper"])
@settings(max_examples=5_000, deadline=None)
@given(edit=edits)
def test_an_insertion_raises_no_reward_unless_the_judge_saw_it(rule, edit):
    check_that_an_insertion_raises_no_reward_unjudged(edit, rule)
