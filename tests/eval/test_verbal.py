"""The Verbal protocol with a scripted engine: parsing and judging are the reward's, nothing is dropped."""

import json

import pytest

from data_prep.engines import Completion
from data_prep.questions import load_questions
from eval.records import RecordLog, read_records
from eval.verbal import Decoding, answer, request_seed
from reward_fns.errors import UserError
from reward_fns.expert import ExpertError, ExpertVerdict, OracleExpert

RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 0.7"
ANSWERS = [
    RIGHT,
    "1. The digit is 1. I'm not sure.\nConfidence: 0.2",
    "1. The digit is 7. I'm sure.",  # no confidence: a parse failure, yet right
    "seven",  # nothing to judge: wrong
]


class ScriptedEngine:
    """Gives fixed texts and keeps the requests."""

    def __init__(self, texts):
        self.texts, self.requests = list(texts), []

    def generate(self, requests, sampling):
        self.requests += requests
        return [[Completion(self.texts.pop(0)) for _ in range(sampling.n)] for _ in requests]


@pytest.fixture
def questions(question_rows, write_questions):
    return load_questions(write_questions(question_rows(4)))


def test_answers_become_judged_records(questions, tmp_path):
    log = RecordLog(tmp_path / "sft.verbal.jsonl")
    engine = ScriptedEngine(ANSWERS)
    answer("sft", engine, questions, log, OracleExpert(), Decoding(1.0, 64, seed=0))
    log.finish()
    records = read_records(tmp_path / "sft.verbal.jsonl")
    assert [r.response for r in records] == ANSWERS
    assert [r.correct for r in records] == [1, 0, 1, 0]
    assert [r.confidence for r in records] == [0.7, 0.2, None, None]
    assert [r.claim_labels for r in records] == [[1], [0], [1], []]
    assert records[0].claims == [{"text": "The digit is 7.", "sure": True}]
    assert "no_confidence" in records[2].defects and not records[2].well_formed
    assert {r.expert for r in records} == {"oracle"} and {r.model for r in records} == {"sft"}
    assert json.loads((tmp_path / "sft.verbal.jsonl").read_text().splitlines()[0])["protocol"] == "verbal"
    assert engine.requests[0].image == questions[0].image


def test_every_question_has_a_seed_of_its_own():
    seeds = {request_seed(seed, f"q{i}") for seed in range(3) for i in range(100)}
    assert len(seeds) == 300 and all(0 <= seed < 2**32 for seed in seeds)
    assert request_seed(0, "q0") == request_seed(0, "q0")


def test_samples_of_a_question_are_records_in_a_row(questions, tmp_path):
    log = RecordLog(tmp_path / "base.verbal.jsonl", samples=2)
    decoding = Decoding(1.0, 64, seed=0, samples=2)
    answer("base", ScriptedEngine(ANSWERS), questions[:2], log, OracleExpert(), decoding)
    log.finish()
    records = read_records(log.path)
    assert [(r.question_id, r.response) for r in records] == list(zip(["q0", "q0", "q1", "q1"], ANSWERS, strict=True))
    assert RecordLog(log.path, samples=2).done == {"q0", "q1"}


def test_one_failed_sample_leaves_the_whole_question_for_the_next_run(questions, tmp_path):
    log = RecordLog(tmp_path / "base.verbal.jsonl", samples=2)
    texts = [RIGHT, RIGHT.replace("0.7", "0.1"), RIGHT, RIGHT]
    decoding = Decoding(1.0, 64, seed=0, samples=2)
    with pytest.raises(UserError, match="failed on 1 of 4 answers"):
        answer("base", ScriptedEngine(texts), questions[:2], log, FailingExpert("0.1"), decoding)
    assert log.done == {"q1"}


class FailingExpert:
    name = "failing"

    def __init__(self, fail_on):
        self.fail_on = fail_on

    async def judge(self, request):
        if self.fail_on in request.response:
            raise ExpertError("no verdict today")
        return ExpertVerdict((1,), 1.0, self.name)


def test_expert_failure_is_never_scored_and_named(questions, tmp_path):
    log = RecordLog(tmp_path / "sft.verbal.jsonl")
    texts = [RIGHT, RIGHT.replace("0.7", "0.1"), RIGHT, RIGHT]
    with pytest.raises(UserError, match="failing failed on 1 of 4 answers of sft .*no verdict today"):
        answer("sft", ScriptedEngine(texts), questions, log, FailingExpert("0.1"), Decoding(1.0, 64, seed=0))
    assert RecordLog(log.path).done == {"q0", "q2", "q3"}  # the next run asks for q1


@pytest.mark.parametrize("values", [(-1.0, 64), (1.0, 0)])
def test_impossible_decoding_is_refused(values):
    with pytest.raises(UserError, match="temperature must be"):
        Decoding(*values, seed=0)
