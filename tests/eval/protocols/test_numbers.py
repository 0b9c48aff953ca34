"""A reply is one number, or a line under its heading;
anything else is a parse failure and never guessed at.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.protocols.numbers import read_confidence


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.85", 0.85),
        (" 0.85.\n", 0.85),
        (".5", 0.5),
        ("1", 1.0),
        ("1.", 1.0),
        ("0", 0.0),
        ("85%", 0.85),
        ("85 %", 0.85),
        ("Confidence: 0.4", 0.4),
        ("**Confidence:** 0.4", 0.4),
        ("I am 90% sure", 0.9),
        ("Step 2 is done.\nConfidence = 0.4", 0.4),
        ("confidence: 0.4\nConfidence: 0.40", 0.4),
        ("", None),
        ("seven", None),
        ("85", None),
        ("-0.5", None),
        ("1.2", None),
        ("8/10", None),
        ("0.4 or 0.6", None),
        ("Confidence: 0.4\nConfidence: 0.6", None),
        ("Confidence: 1.4", None),
        ("1e-3", None),
        ("version 1.2.3", None),
        ("v2", None),
        ("150%", None),
        ("1. This is the emblem of Paris. I'm sure.", None),
        ("The digit is 1.", None),
        ("1", 1.0),
        ("There is 1 dog", None),
        ("0.", None),
        ("0.5%", None),
        ("**0.7**", 0.7),
        ("Confidence: 1/10", None),
        ("Confidence: 0,7", None),
        ("Answer confidence: 0.. I am not sure.", None),
        ("Confidence: 1 out of 10", None),
        ("Confidence: 1 in five", None),
        ("Confidence: 1 percent", None),
        ("Confidence: 0.7 or 0.8", None),
        ("Confidence: 0.7-0.9", None),
        ("Confidence: 0.7, confidence: 0.9", None),
        ("Confidence:\n1. It is red.", None),
        ("Confidence:\n\n0.7", 0.7),
        ("Confidence: 0.7 because it is red", 0.7),
        ("My confidence: the highest.\nConfidence: 0.7", 0.7),
    ],
)
def test_what_is_read(text, value):
    assert read_confidence(text) == value


def test_the_heading_that_was_asked_for_is_the_one_that_counts():
    for between in ("\n", ", "):
        text = f"Visual confidence: 0.3{between}Answer confidence: 0.8"
        assert read_confidence(text, "answer confidence") == 0.8
        assert read_confidence(text, "visual confidence") == 0.3


@given(st.integers(0, 100))
def test_two_decimals_come_back(percent):
    assert (
        read_confidence(f"{percent / 100:.2f}") == percent / 100 == read_confidence(f"{percent}%")
    )


@given(st.text(max_size=60))
def test_any_text_is_a_number_in_range_or_none(text):
    value = read_confidence(text)
    assert value is None or 0 <= value <= 1
