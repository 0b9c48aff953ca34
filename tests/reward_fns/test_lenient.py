"""The lenient reading: what an answer says and states, whatever its form;
nothing ambiguous is guessed.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.lenient import FORMS, LenientReading, read_leniently, running_text, said


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("Dakota", LenientReading("Dakota", None, ("prose",))),
        ("Dakota. I am sure.", LenientReading("Dakota.", None, ("tag", "prose"))),
        (
            "It is 7. I'm sure. It is red. I'm not sure.",
            LenientReading("It is 7. It is red.", None, ("tag", "prose")),
        ),
        ("## Confidence: 0.7", LenientReading("", 0.7, ("confidence",))),
        (
            "It is 7.\nConfidence score: 0.7",
            LenientReading("It is 7.", 0.7, ("confidence", "prose")),
        ),
        ("It is 7.\nConfidence：0.7", LenientReading("It is 7.", 0.7, ("confidence", "prose"))),
        (
            "It is 7. Confidence: \\boxed{0.7}",
            LenientReading("It is 7.", 0.7, ("confidence", "prose")),
        ),
        ("It is 7.\nConfidence: 95\\%", LenientReading("It is 7.", 0.95, ("confidence", "prose"))),
        (
            "It is 7.\n**Confidence**:\n\n0.85",
            LenientReading("It is 7.", 0.85, ("confidence", "prose")),
        ),
        ("My confidence is 0.8.</s>", LenientReading("", 0.8, ("confidence",))),
        (
            "**1. The digit is 7.**\n2.It is red.",
            LenientReading("The digit is 7.\nIt is red.", None, ("list",)),
        ),
        ("a) It is 7.\nb) It is red.", LenientReading("It is 7.\nIt is red.", None, ("list",))),
        (
            "<think>A 3? Confidence: 0.1</think>It is 7",
            LenientReading("It is 7", None, ("thinking", "prose")),
        ),
        ("<think>A 3?", LenientReading("", None, ("thinking",))),
        ("Confidence: 0.7\nConfidence: 0.8", LenientReading("", None, ("confidence",))),
        ("Confidence: 0.", LenientReading("", None, ("confidence",))),
        ("Confidence: high", LenientReading("", None, ("confidence",))),
        (
            "He spoke in confidence: yes",
            LenientReading("He spoke in confidence: yes", None, ("prose",)),
        ),
        ("3.5 metres", LenientReading("3.5 metres", None, ("prose",))),
        ("10 dogs", LenientReading("10 dogs", None, ("prose",))),
        ("", LenientReading("", None, ())),
        # What stands behind a confidence on its line is said, and judged, like anything else.
        ("Confidence: 0.9. It is 7.", LenientReading("It is 7.", 0.9, ("confidence", "prose"))),
        (
            "**Confidence: 0.7** - It is 7.",
            LenientReading("It is 7.", 0.7, ("confidence", "prose")),
        ),
        ("Confidence: 0. False", LenientReading("False", None, ("confidence", "prose"))),
        ("Confidence: high. It is 7.", LenientReading("It is 7.", None, ("confidence", "prose"))),
        ("Confidence: 0.7 (high)", LenientReading("", 0.7, ("confidence",))),
        ("Confidence: 0,7", LenientReading("", None, ("confidence",))),
        (
            "It is 7.\n### Confidence\n0.85",
            LenientReading("It is 7.", 0.85, ("confidence", "prose")),
        ),
        (
            "It is 7.\nConfidence (0-1): 0.7",
            LenientReading("It is 7.", 0.7, ("confidence", "prose")),
        ),
        (
            "**Answer:** Dakota\nConfidence: 1/10",
            LenientReading("Dakota", None, ("confidence", "label", "prose")),
        ),
        (
            "Answer: Dakota (confidence: 80%)",
            LenientReading("Dakota", 0.8, ("confidence", "label", "prose")),
        ),
        # A bullet is no part of a name, a number or a sign.
        ("J. K. Rowling", LenientReading("J. K. Rowling", None, ("prose",))),
        ("U.S.A.", LenientReading("U.S.A.", None, ("prose",))),
        ("-7 degrees", LenientReading("-7 degrees", None, ("prose",))),
    ],
)  # fmt: skip
def test_an_answer_is_read_by_what_it_says(text, reading):
    assert read_leniently(text) == reading


def test_a_whole_list_is_said_by_its_claims_and_any_other_answer_by_all_that_it_says():
    assert said("1. It is 7. I'm sure.\n2. It is red. I'm not sure.") == "It is 7.\nIt is red."
    # The strict reader takes one claim of the two: judging that one alone would hide the other.
    assert (
        said("1.It is 3. I'm sure.\n2. It is 7. I'm sure.\nConfidence: 1") == "It is 3.\nIt is 7."
    )
    assert running_text("1.It is 3.\n2. It is 7.") == "It is 3. It is 7."
    assert running_text("?") == "?"
    # Words for a number are words: the list is not all that is said.
    assert said("1. It is 7. I'm sure.\nConfidence: 1. It is 3.") == "It is 7.\nIt is 3."


@given(st.text(max_size=80))
def test_any_text_is_read(text):
    reading = read_leniently(text)
    assert reading.confidence is None or 0 <= reading.confidence <= 1
    assert set(reading.forms) <= set(FORMS)
