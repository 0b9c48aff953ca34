"""Shared: an answer with its question, and an engine that replies by rule."""

import math

import pytest

from data_prep.engines import Completion, Token
from data_prep.verl_rows import Question
from eval.protocols import Asked
from eval.records import Answer


@pytest.fixture
def make_asked():
    def make(question_id="q0", task="QA", sample=0, **changes):
        content = [{"type": "image"}, {"type": "text", "text": "\nWhich digit?"}]
        question = Question(
            question_id=question_id,
            dataset="pocket-digit",
            task=task,
            question="Which digit?",
            image_id="im0",
            entity="",
            image=b"png",
            messages=[{"role": "user", "content": content}],
            ground_truth="7",
        )
        values = {
            "model": "base",
            "dataset": "pocket-digit",
            "task": task,
            "question_id": question_id,
            "question": "Which digit?",
            "image_id": "im0",
            "entity": "",
            "response": "1. The digit is 7. I'm sure.\n2. It is red. I'm not sure.\n"
            "Confidence: 0.7",
            "correct": 1.0,
            "well_formed": True,
            "expert": "oracle",
            "claims": [
                {"text": "The digit is 7.", "sure": True},
                {"text": "It is red.", "sure": False},
            ],
            "sample": sample,
        }
        return Asked(question, Answer(**values | changes))

    return make


class RuleEngine:
    """Replies rule(prompt text) to every request, a text or a list of one for each sample;
    keeps the requests.
    """

    fingerprint = "rule"

    def __init__(self, rule):
        self.rule, self.requests, self.samplings = rule, [], []

    def generate(self, requests, sampling):
        self.requests += requests
        self.samplings.append(sampling)
        return [
            self._reply(self.rule(r.messages[-1]["content"][-1]["text"]), sampling)
            for r in requests
        ]

    def _reply(self, reply, sampling):
        replies = reply if isinstance(reply, list) else [reply] * sampling.n
        assert len(replies) == sampling.n
        return [r if isinstance(r, Completion) else Completion(r) for r in replies]


@pytest.fixture
def rule_engine():
    return RuleEngine


@pytest.fixture
def tokens():
    def make(*pieces):
        """(text, probability drawn, {text: probability} listed) each -> tokens."""
        return tuple(
            Token(t, math.log(p), {k: math.log(v) for k, v in top.items()}) for t, p, top in pieces
        )

    return make
