"""Reading pocket answers and comparing two of them, by hand cases."""

import numpy as np
import pytest

from data_prep.pocket import datasets
from data_prep.pocket.statements import Statement, read, read_all, relation


@pytest.mark.parametrize("name", list(datasets.DATASETS))
def test_every_sentence_of_the_generator_is_read_as_what_it_was_written_about(name):
    task = datasets.DATASETS[name].task
    drawn = datasets.draw_batch(name, "test", 40, np.random.default_rng(0))
    for things in drawn.things:
        text = " ".join(datasets.sentences(things, task))
        places = {None} if task == "QA" else {datasets.PLACES[thing.place] for thing in things}
        assert {statement.place for statement in read_all(text)} == places
        assert len(read_all(text)) == len(things)


@pytest.mark.parametrize(
    ("sentence", "statement"),
    [
        ("The digit is 7.", Statement("7", None)),
        ("THE  DIGIT is 7", Statement("7", None)),
        ("This is the emblem of Oslo.", Statement("Oslo", None)),
        ("A red 3 is at the top left.", Statement("red 3", "top left")),
        ("An orange 0 is at the bottom right.", Statement("orange 0", "bottom right")),
        ("The emblem of Riga is at the top right.", Statement("Riga", "top right")),
        ("The digit is 77.", None),
        ("The digit is ７.", None),  # a digit, but not one that is ever written
        ("A pink 3 is at the top left.", None),
        ("This is the emblem of Atlantis.", None),
        ("A red 3 is at the top left and a blue 7 is at the top right.", None),
        ("", None),
    ],
)
def test_statements_are_read_exactly_or_not_at_all(sentence, statement):
    assert read(sentence) == statement


A, B, C, D = (
    "A red 3 is at the top left.",
    "A blue 7 is at the top right.",
    "A green 1 is at the bottom left.",
    "The emblem of Oslo is at the bottom right.",
)


@pytest.mark.parametrize(
    ("task", "better", "worse", "label"),
    [
        ("QA", "The digit is 3.", "the digit is 3", "entailment"),
        ("QA", "The digit is 3.", "The digit is 8.", "contradiction"),
        ("QA", "The digit is 3.", "This is the emblem of Oslo.", "contradiction"),
        ("QA", "The digit is 3.", "The digit is 3. The digit is 8.", "contradiction"),
        ("QA", "The digit is 3.", "I cannot tell.", "neutral"),
        ("QA", "", "The digit is 3.", "neutral"),
        ("QA", "The digit is 3.", "1. The digit is 3. I'm sure.\nConfidence: 0.4", "entailment"),
        ("Detail", f"{A} {B}", f"{B} {A}", "entailment"),
        ("Detail", f"{A} {B}", "A red 8 is at the top left.", "contradiction"),
        ("Detail", f"{A} {B}", "A blue 3 is at the top left.", "contradiction"),  # the colour
        ("Detail", f"{A} {B}", "The emblem of Riga is at the top left.", "contradiction"),
        ("Detail", f"{A} {B}", A, "entailment"),  # 1 of 2 is shared
        ("Detail", A, f"{A} {B}", "entailment"),
        ("Detail", f"{A} {B} {C}", f"{A} {B}", "entailment"),  # 2 of 3
        ("Detail", f"{A} {B} {C}", A, "neutral"),  # 1 of 3
        (
            "Detail",
            f"{A} {B}",
            f"{A} {C}",
            "neutral",
        ),  # they agree where both speak, neither contains the other
        ("Detail", f"{A} {B}", f"{C} {D}", "neutral"),  # no place in common
        ("Detail", A, "A red 3 is at the top right.", "neutral"),  # there may be two of them
        (
            "Detail",
            f"{A} {B}",
            f"{A} {B} and more",
            "entailment",
        ),  # 1 of 2: what cannot be read is looked over
        ("Detail", f"{A} {B}", "Nice.", "neutral"),
        (
            "Detail",
            A,
            f"{A} A red 8 is at the top left.",
            "entailment",
        ),  # both say the red 3; 1 of 2
    ],
)
def test_relation_of_two_answers(task, better, worse, label):
    assert relation(better, worse, task) == label
