"""Shared: an answer record."""

import pytest

from eval.records import AnswerRecord

ANSWER = "1. The digit is 7. I'm sure.\nConfidence: 0.7"


@pytest.fixture
def make_record():
    def make(question_id="q0", **changes):
        values = {
            "model": "base",
            "protocol": "verbal",
            "dataset": "pocket-digit",
            "task": "QA",
            "question_id": question_id,
            "question": "Which digit?",
            "image_id": "im0",
            "entity": "",
            "response": ANSWER,
            "confidence": 0.7,
            "correct": 1.0,
            "well_formed": True,
            "expert": "oracle",
            "claims": [{"text": "The digit is 7.", "sure": True}],
            "claim_labels": [1],
        }
        return AnswerRecord(**values | changes)

    return make
