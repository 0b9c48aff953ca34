"""One number is read where it can mean one thing; it parts from what is said behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.stated_number import read_number, split_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.7", 0.7),
        ("**85%**", 0.85),
        ("1.", 1.0),
        ("\\boxed{0.7}", 0.7),
        ("0.", None),
        ("0.95%", None),
        ("85", None),
        ("-0.1", None),
        ("0.7 or 0.8", None),
        ("8/10", None),
        ("seven", None),
        ("80% sure", 0.8),
        ("0.7 (high)", 0.7),
        ("1 (out of ten)", None),
        ("0,7", None),
        ("1/", None),
    ],
)
def test_a_number_is_read_only_where_it_can_mean_one_thing(text, value):
    assert read_number(text) == value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.7", ("0.7", "")),
        (" **0.7** - It is 7.", (" **0.7**", "It is 7.")),
        ("80% because it is 7", ("80%", "because it is 7")),
        ("0.7, because it is 7", ("0.7", "because it is 7")),
        ("1. It is 7.", ("1.", "It is 7.")),
        ("0. It is 7.", ("0.", "It is 7.")),
        ("0.uestion emblem", ("0.", "uestion emblem")),
        ("high. It is 7.", ("high.", "It is 7.")),
        # Never parted where the rest may change the number.
        ("0.7, or 0.8", ("0.7, or 0.8", "")),
        ("0.7-0.9", ("0.7-0.9", "")),
        ("1 in five", ("1 in five", "")),
        ("1, out of ten", ("1, out of ten", "")),
        ("1 percent", ("1 percent", "")),
        ("1e-3", ("1e-3", "")),
    ],
)
def test_a_number_parts_from_the_next_clause_and_from_nothing_else(text, parts):
    assert split_number(text) == parts


@given(st.text(max_size=60))
def test_nothing_said_is_lost_between_the_parts(text):
    stated, behind = split_number(text)
    assert text.startswith(stated) and text.endswith(behind)
    between = text[len(stated) : len(text) - len(behind)]
    assert not any(map(str.isalnum, between))
