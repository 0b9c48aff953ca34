"""An engine that answers from a JSON file, for commands that would ask a model:
question's text -> response.

{"kind": "scripted_model:ScriptedModel", "answers": "answers.json"}
"""

import json
from pathlib import Path

from data_prep.engines import Completion


class ScriptedModel:
    asked = []  # texts of all instances of this process

    def __init__(self, answers, name="scripted"):
        self._answers = json.loads(Path(answers).read_text())
        self.fingerprint = name

    def generate(self, requests, sampling):
        return [[self._one(request)] for request in requests]

    def _one(self, request):
        assert request.image, "a benchmark's question comes with its image"
        text = request.messages[0]["content"][1]["text"].strip()
        self.asked.append(text)
        question = text.split("\n")[0]
        return Completion(self._answers[question], finish_reason="stop")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
