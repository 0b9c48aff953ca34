"""A model's answers to a benchmark: what it is asked, and with what engine."""

import json

import pytest
from scripted_model import ScriptedModel

from data_prep.engines import NoLogprobs
from eval.asking.answers import Decoding
from eval.benchmarks.items import Item
from eval.benchmarks.stored_answers import (
    StoredAnswer,
    answer_items,
    open_log,
    prompt_text,
    read_stored,
)

YES_NO = Item("2", "1", "Is there a dog?", yes_no=True)


@pytest.mark.parametrize(
    ("prompt", "description", "question"),
    [(None, True, False), ("claims", True, True), ("plain", False, False)],
)
def test_which_questions_ask_for_claims(prompt, description, question):
    for item, asks in ((Item("1", "1", "Describe."), description), (YES_NO, question)):
        text = prompt_text(item, prompt)
        assert text.startswith(item.question) and ("Confidence" in text) == asks


def test_an_engine_without_log_probabilities_is_asked_without(tmp_path):
    class Plain(ScriptedModel):
        def generate(self, requests, sampling):
            if sampling.top_logprobs:
                raise NoLogprobs("none here")
            return super().generate(requests, sampling)

    (tmp_path / "answers.json").write_text(json.dumps({"Describe.": "A dog."}))
    (tmp_path / "a.png").write_bytes(b"an image")
    log = open_log(tmp_path / "m.objhal.jsonl")
    items = [Item("1", "1", "Describe.", tmp_path / "a.png")]
    answer_items("m", Plain(tmp_path / "answers.json"), items, log, Decoding(0, 8, 0), None)
    stored = read_stored(tmp_path / "m.objhal.jsonl")
    assert stored == {"1": StoredAnswer("1", "A dog.", "stop", [])}
