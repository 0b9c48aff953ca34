"""SFT on expected numbers: the mean by hand,
and the whole command with the shipped pocket model.
"""

import json
import math

import pyarrow.parquet as pq
import pytest

from data_prep.engines import Completion, Sampling, ScoredToken
from data_prep.expected import describe, expected_records, main
from data_prep.pocket import data as pocket
from data_prep.pocket.__main__ import SHIPPED
from data_prep.verl_rows import Question, load_questions
from reward_fns.claims import parse_response
from reward_fns.errors import UserError

SAID = "1. The digit is 7. I'm sure.\nConfidence: 0.9"


class OneAnswer:
    """Stands for a model whose numbers are known: P(0.7) = 0.6, P(0.8) = 0.3, P(0.1) = 0.1."""

    def __init__(self, *texts):
        self.texts = texts

    def generate(self, requests, sampling):
        return [[Completion(text) for text in self.texts] for _ in requests]

    def score(self, requests):
        shares = {"0.7": 0.6, "0.8": 0.3, "0.1": 0.1}
        return [
            [
                (ScoredToken(i, math.log(shares.get(text[-3:], 1e-300))), ScoredToken(99, 0.0))
                for i, text in enumerate(request.answers)
            ]
            for request in requests
        ]


def question(name="q0"):
    return Question(name, "d", "QA", "Which digit?", "i", "", b"png", [], "7")


def test_the_mean_stands_where_the_draw_stood():
    (record,) = expected_records(OneAnswer(SAID, "7", " " + SAID), [question()], Sampling(n=3), 0)
    # 0.6 * 0.7 + 0.3 * 0.8 + 0.1 * 0.1 = 0.67; of one decimal 0.7 is nearest.
    answer = {"text": SAID.replace("0.9", "0.7"), "stated": 0.9, "expected": pytest.approx(0.67)}
    assert record == {"question_id": "q0", "n": 3, "answers": [answer, answer]}


def test_numbers_that_are_all_alike_are_refused():
    records = expected_records(
        OneAnswer(SAID), [question(f"q{i}") for i in range(9)], Sampling(), 0
    )
    with pytest.raises(UserError, match="do not depend on its answers"):
        describe(records, 0.05)
    with pytest.raises(UserError, match="none of 1 answers"):
        describe(expected_records(OneAnswer("7"), [question()], Sampling(), 0), 0.05)


def test_the_whole_command_and_again(tmp_path, capsys):
    pocket.write(tmp_path / "q", 0, {"rl_train": 24})
    file = tmp_path / "q" / "rl_train.parquet"
    model = json.dumps({"kind": "transformers", "model": str(SHIPPED)})
    out = tmp_path / "expected.parquet"
    command = ["--model", model, "--questions", str(file), "--out", str(out), "--samples", "2"]
    command += ["--max-tokens", "48"]
    assert main(command) == 1  # the base's numbers are all alike
    assert "the model's numbers do not depend on its answers" in capsys.readouterr().err
    command += ["--least-spread", "0"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == told["answers"] - told["without a number that can be read"] > 24
    prompts = {q.question_id for q in load_questions(file)}
    for row in rows:
        user, assistant = row["messages"]
        assert row["question_id"] in prompts and user["content"].startswith("<image>")
        assert parse_response(assistant["content"]).well_formed
    # Means of draws: never more spread than the draws.
    assert 0 < told["expected"]["spread"] < told["stated"]["spread"]
    before = out.read_bytes()
    assert main(command) == 0 and out.read_bytes() == before
    assert main([*command, "--seed", "1"]) == 1
    assert "begun with another seed" in capsys.readouterr().err
