"""The NLI cross-encoder as expert on pairs: both directions are averaged,
checked against the model itself.
"""

import asyncio

import pytest
import torch
from nli_model import LABELS, build_nli_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from reward_fns.errors import UserError
from reward_fns.expert import ExpertError, make_expert
from reward_fns.expert.nli import NliExpert, label_columns
from reward_fns.expert.requests import EntitiesRequest, PairRequest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_nli_model(tmp_path_factory.mktemp("nli"))


PAIRS = [(a, b) for a in ("oslo", "in lima", "no") for b in ("riga", "it is not lima", "yes")]


def test_the_label_is_the_most_probable_one_over_both_directions(model):
    tokenizer = AutoTokenizer.from_pretrained(model)
    reference = AutoModelForSequenceClassification.from_pretrained(model)
    expert = NliExpert(model)
    found = set()
    for better, worse in PAIRS:
        first, second = f"where? {better}", f"where? {worse}"
        batch = tokenizer([first, second], [second, first], return_tensors="pt", padding=True)
        with torch.no_grad():
            chances = reference.eval()(**batch).logits.softmax(-1).mean(0)
        verdict = asyncio.run(expert.ask(PairRequest("where?", "QA", better, worse)))
        assert verdict.label == LABELS[int(chances.argmax())].lower()
        swapped = asyncio.run(expert.ask(PairRequest("where?", "QA", worse, better)))
        assert swapped.label == verdict.label
        found.add(verdict.label)
    assert len(found) > 1


def test_it_answers_nothing_but_pairs_and_is_named_by_its_path(model):
    expert = make_expert({"kind": "reward_fns.expert.nli:NliExpert", "model": model})
    assert expert.name == model
    with pytest.raises(ExpertError, match="cannot answer a EntitiesRequest"):
        asyncio.run(expert.ask(EntitiesRequest("Oslo")))


def test_a_model_without_the_three_labels_is_an_error_that_names_them():
    with pytest.raises(
        UserError, match=r"\['label_0', 'label_1', 'label_2'\].*without 'contradiction'"
    ):
        label_columns({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})


def test_a_missing_model_is_an_error_that_names_it():
    with pytest.raises(UserError, match="no NLI cross-encoder 'nobody/nothing'"):
        NliExpert("nobody/nothing")
