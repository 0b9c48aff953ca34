"""Entities: one spelling for one name; spaCy's kinds that count."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.steps.entities import NUMBERS, _pipeline, _spacy_entities, normalise


@pytest.mark.parametrize(
    ("entity", "name"),
    [
        ("The Eiffel Tower's", "eiffel tower"),
        ("Eiffel\u00a0 tower", "eiffel tower"),
        ("“Mona Lisa”", "mona lisa"),
        ("the Beatles’", "beatles"),
        ("Theodore", "theodore"),
        ("The", "the"),
        ("ＯＳＬＯ", "oslo"),
        ("STRAßE", "strasse"),
        ("東京", "東京"),
        ("7", "7"),
        ("...", ""),
        ("'s", "s"),
    ],
)
def test_spellings_of_a_name_become_one(entity, name):
    assert normalise(entity) == name


@given(st.text())
def test_a_name_begins_and_ends_with_a_letter_or_digit_and_has_single_spaces(text):
    name = normalise(text)
    assert not name or (re.match(r"[^\W_]", name[0]) and re.match(r"[^\W_]", name[-1]))
    assert name == " ".join(name.split())


def test_spacy_finds_names_and_numbers_count_only_if_asked():
    texts = ["The emblem of Oslo is at the top left.", "A red 3 is at the top left.", ""]
    nlp = _pipeline("en_core_web_sm")
    assert _spacy_entities(nlp, texts, NUMBERS) == [["Oslo"], [], []]
    assert _spacy_entities(nlp, texts, []) == [["Oslo"], ["3"], []]
