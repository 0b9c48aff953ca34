"""An answer is judged by what it says, whatever its form;
by the oracle, and by a judge behind real HTTP.
"""

import asyncio
import json

import pytest
from judge_server import JudgeServer

from data_prep.verl_rows import Question
from eval.asking.correctness import UNASKED, judge
from reward_fns.expert import make_expert

TRUTH = json.dumps({"task": "QA", "facts": ["The brand is Dakota.", "Dakota"]})
SQUARE = b"\x89PNG\r\n\x1a\n"


def question():
    return Question("q0", "VQAv2", "QA", "Which brand?", "im0", "", SQUARE, [], TRUTH)


@pytest.fixture(params=["oracle", "http"])
def expert(request):
    if request.param == "oracle":
        yield make_expert("oracle")
        return
    with JudgeServer() as server:
        yield make_expert({"kind": "openai", "model": "judge", "base_url": server.url})


@pytest.mark.parametrize(
    ("response", "correct", "confidence"),
    [
        ("Dakota", 1.0, None),
        ("The brand is Dakota.", 1.0, None),
        ("Dakota. I am sure.", 1.0, None),
        ("## The brand is Dakota.\n## Confidence: 0.7", 1.0, 0.7),
        ("<think>Nikon?</think>\n**1.** The brand is Dakota.", 1.0, None),
        ("1. The brand is Dakota. I'm sure.", 1.0, None),
        ("1. The brand is Dakota. I'm sure.\nConfidence: 0.7", 1.0, 0.7),
        ("Answer: Dakota\nConfidence: 0.7", 1.0, 0.7),
        ("Confidence: 0.9. The brand is Dakota.", 1.0, 0.9),
        ("1. The brand is Dakota. I'm sure.\nConfidence: 1. It is Nikon.", 0.0, 1.0),
        ("Nikon", 0.0, None),
        ("It is Nikon.\n1. The brand is Dakota. I'm sure.\nConfidence: 1", 0.0, 1.0),
        ("1.It is Nikon. I'm sure.\n2. The brand is Dakota. I'm sure.\nConfidence: 1", 0.0, 1.0),
    ],
)
def test_an_answer_in_any_form_is_judged_by_what_it_says(expert, response, correct, confidence):
    judged = asyncio.run(judge(question(), response, expert, "expert"))
    assert (judged.correct, judged.confidence, judged.error) == (correct, confidence, None)
    assert judged.judge != UNASKED
    # Claims are labelled where the list is whole; else the whole answer is judged alone.
    assert len(judged.claim_labels) == (1 if judged.parsed.list_is_whole else 0)
    assert (judged.lenient is None) == judged.parsed.well_formed


@pytest.mark.parametrize("response", ["", "...", "Confidence: 0.4", "<think>Dakota"])
def test_only_an_answer_that_says_nothing_is_wrong_unasked(expert, response):
    judged = asyncio.run(judge(question(), response, expert, "expert"))
    assert (judged.correct, judged.judge, judged.error) == (0.0, UNASKED, None)
    assert judged.confidence == (0.4 if "0.4" in response else None)
