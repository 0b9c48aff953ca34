"""The pocket expert in each of its roles."""

import asyncio
import json

import numpy as np
import pytest

from data_prep.pocket import corpus, datasets, emblems
from data_prep.pocket.roles import entities, question_for
from data_prep.steps.entities import NUMBERS, _pipeline, _spacy_entities
from reward_fns.expert import (
    AnswerRequest,
    EntitiesRequest,
    ExpertError,
    FactQuestionRequest,
    FactRequest,
    FactsRequest,
    PairRequest,
    RubricRequest,
    make_expert,
)

RED, BLUE = "A red 3 is at the top left.", "A blue 7 is at the top right."
TRUTH = json.dumps({"task": "Detail", "facts": [RED, BLUE]})


def ask(request):
    return asyncio.run(make_expert({"kind": "data_prep.pocket.roles:PocketExpert"}).ask(request))


def test_answers_and_facts_are_judged_by_the_ground_truth():
    verdict = ask(
        AnswerRequest("Describe.", "Detail", (RED, "A red 1 is at the top right."), "", TRUTH)
    )
    assert verdict.claim_labels == (1, 0) and verdict.overall == 0.5
    assert ask(FactRequest(RED, "What is at the top left?", "Something else.", TRUTH)).true
    assert not ask(FactRequest("A red 1 is at the top right.", "?", RED, TRUTH)).true


def test_a_pair_is_compared_by_what_it_states_without_a_ground_truth():
    verdict = ask(PairRequest("Describe.", "Detail", f"{RED} {BLUE}", RED))
    assert verdict.label == "entailment" and verdict.source.model == "pocket"


def test_facts_are_the_sentences():
    assert ask(FactsRequest("Describe.", f"{RED} {BLUE}")).facts == (RED, BLUE)


@pytest.mark.parametrize(
    ("fact", "question"),
    [
        ("The digit is 7.", "Which digit is shown?"),
        ("This is the emblem of Oslo.", "Whose emblem is this?"),
        (RED, "What is at the top left?"),
        ("The emblem of Oslo is at the bottom right.", "What is at the bottom right?"),
        ("Nonsense.", "Describe the image."),
    ],
)
def test_a_fact_becomes_a_question(fact, question):
    assert ask(FactQuestionRequest(fact)).question == question


@pytest.mark.parametrize("name", list(datasets.DATASETS))
def test_every_question_is_one_that_the_base_was_trained_on_and_gives_no_fact_away(name):
    """The words of the pocket tokenizer are the words of the training texts:
    other questions are not even readable.
    """
    task = datasets.DATASETS[name].task
    trained = {question for dataset in datasets.DATASETS.values() for question in dataset.questions}
    trained |= {corpus.place_question(place) for place in datasets.PLACES}
    for things in datasets.draw_batch(name, "test", 20, np.random.default_rng(0)).things:
        for thing in things:
            question = question_for(datasets.sentence(thing, task))
            assert question in trained
            assert emblems.NAMES[thing.value] not in question and not any(
                map(str.isdigit, question)
            )


@pytest.mark.parametrize("name", list(datasets.DATASETS))
def test_entities_of_a_true_answer_are_those_of_the_generator(name):
    task = datasets.DATASETS[name].task
    for things in datasets.draw_batch(name, "test", 30, np.random.default_rng(1)).things:
        named = [emblems.NAMES[thing.value] for thing in things if thing.emblem]
        digits = [str(thing.value) for thing in things]
        assert list(entities(corpus.plain_answer(things, task))) == (named or digits)


def test_spacy_finds_every_name_but_not_every_digit():
    """Why the pocket expert is offered as the extractor of entities too."""
    nlp = _pipeline("en_core_web_sm")
    for form in (
        "This is the emblem of {}.",
        "The emblem of {} is at the top left.",
        f"{RED} The emblem of {{}} is at the top right.",
    ):
        found = _spacy_entities(nlp, [form.format(name) for name in emblems.NAMES], NUMBERS)
        assert found == [[name] for name in emblems.NAMES]
    (digits,) = _spacy_entities(nlp, ["The digit is 0."], [])
    assert digits == []


def test_entities_by_the_expert():
    assert ask(EntitiesRequest(f"{RED} The emblem of Riga is at the top right.")).entities == (
        "Riga",
    )


def test_a_request_without_a_rule_is_refused():
    with pytest.raises(ExpertError, match="RubricRequest"):
        ask(RubricRequest("mmhal", {}, 0, 6))


@pytest.mark.parametrize(
    ("response", "rating"),
    [
        (RED, 5),  # all that was asked for
        (f"{RED} {BLUE}", 5),  # and more that is true
        (BLUE, 3),  # true, and not asked for
        (f"{RED} A red 1 is at the top right.", 2),
        ("A red 1 is at the top left.", 0),
        ("Perhaps: A red 1 is at the top left.", 3),  # a guess states nothing
        ("", 3),
    ],
)
def test_mmhals_rating_follows_what_is_told_and_what_is_false(response, rating):
    content = ", ".join(fact.removesuffix(".") for fact in (RED, BLUE))
    values = {"image_content": content, "question": "?", "reference": RED, "response": response}
    assert ask(RubricRequest("mmhal_rating", values, 0, 6)).score == rating
