"""From sampled answers to tagged facts: the step `sft`,
with the pocket expert in every role and a scripted model.
"""

import asyncio
import json
from types import SimpleNamespace

import pytest

from data_prep.engines import Completion
from data_prep.questions import SourceQuestion, write_questions
from data_prep.steps import sft
from data_prep.steps.context import Context
from data_prep.steps.sft import SftConfig
from reward_fns.claims import parse_response
from reward_fns.errors import UserError
from reward_fns.expert import ExpertError, FactQuestionRequest, FactsRequest, make_expert
from reward_fns.files import read_jsonl

from .scripted import png

POCKET = {"kind": "data_prep.pocket.roles:PocketExpert"}
RED, BLUE, GREEN = (
    "A red 3 is at the top left.",
    "A blue 7 is at the top right.",
    "A green 1 is at the bottom left.",
)
DETAIL = json.dumps({"task": "Detail", "facts": [RED, BLUE]})


class Echo:
    """A model that answers with the question and its seed; notes the sizes of its batches."""

    fingerprint = "echo"

    def __init__(self):
        self.batches = []

    def generate(self, requests, sampling):
        self.batches.append(len(requests))
        texts = [request.messages[0]["content"][1]["text"].strip() for request in requests]
        return [
            [Completion(f"{text} {request.seed}")]
            for text, request in zip(texts, requests, strict=True)
        ]


class Busy:
    """The pocket expert, slowly; notes how many requests were under way at most,
    and all of them.
    """

    name = "busy"

    def __init__(self):
        self.asked, self.now, self.most = [], 0, 0
        self.fail = self.stop = lambda request: False
        self._inner = make_expert(POCKET)

    async def ask(self, request):
        if self.stop(request):
            raise KeyboardInterrupt
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        if self.fail(request):
            raise ExpertError("down", "5xx")
        return await self._inner.ask(request)


def question(i=0, task="Detail", truth=DETAIL):
    return SourceQuestion(
        f"q{i}", "pocket-scene", task, "Describe the image.", f"im{i}", png(i), truth
    )


def candidates(*pairs, empty=0):
    return {"candidates": [{"text": text, "count": count} for text, count in pairs], "empty": empty}


@pytest.fixture
def step(tmp_path):
    """Run the step over questions with their candidates; returns records, failures,
    counts and the context.
    """

    def run(items, prompt="plain", experts=None, splits=None, **options):
        (tmp_path / "failures").mkdir(exist_ok=True)
        write_questions(tmp_path / "questions.parquet", [item for item, _ in items])
        ids = [{"question_id": item.question_id, "dataset": item.dataset} for item, _ in items]
        lines = [
            head | record
            for head, (_, record) in zip(ids, items, strict=True)
            if record is not None
        ]
        (tmp_path / "candidates.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines)
        )
        split = [
            head | {"subset": "unpaired", "split": (splits or {}).get(head["question_id"], "sft")}
            for head in ids
        ]
        (tmp_path / "splits.jsonl").write_text("".join(json.dumps(line) + "\n" for line in split))
        roles = dict.fromkeys(("extractor", "rewriter", "verifier", "judge"), POCKET)
        settings = sft.SftSettings(SftConfig(**roles | options), prompt)
        model = Echo()
        models = SimpleNamespace(
            engine=lambda: model, expert=lambda config: experts or make_expert(config)
        )
        context = Context(tmp_path, "sft", "key" * 8, models, records="sft.jsonl")
        counts = sft.run(context, settings)
        return (
            list(read_jsonl(tmp_path / "sft.jsonl")),
            list(read_jsonl(tmp_path / "failures/sft.jsonl")),
            counts,
        )

    return run


def test_facts_are_tagged_by_the_verifier_and_the_confidence_is_their_share(step):
    ((record,), failures, counts) = step(
        [(question(), candidates((f"{RED} {BLUE} {GREEN}", 6), ("No.", 4)))]
    )
    assert record["text"] == (
        f"1. {RED} I'm sure.\n2. {BLUE} I'm sure.\n3. {GREEN} I'm not sure.\nConfidence: 0.67"
    )
    assert [fact["question"] for fact in record["facts"]] == [
        "What is at the top left?",
        "What is at the top right?",
        "What is at the bottom left?",
    ]
    # The model's own answer stands in the record, asked with a seed of its own for each fact.
    own = [fact["answer"] for fact in record["facts"]]
    assert (
        own[0].startswith("What is at the top left? ")
        and len({text.split()[-1] for text in own}) == 3
    )
    assert (record["n"], record["count"]) == (10, 6)
    assert not failures and (counts.n_in, counts.n_out) == (1, 1)


def test_confidence_of_samples_is_laplace_over_all_samples(step):
    # Verdicts: both facts 1, one of two 1/2, nothing 0; two are empty.
    # (3 * 1 + 4 * 1/2 + 1 * 0 + 1) / (10 + 2) = 0.5
    sampled = candidates((f"{RED} {BLUE}", 3), (RED, 4), ("Nothing.", 1), empty=2)
    ((record,), _, _) = step([(question(), sampled)], confidence="samples")
    assert record["text"] == f"1. {RED} I'm sure.\nConfidence: 0.5"
    assert record["correct"] == 0.5 and record["certain"] is False
    assert record["samples"] == [
        {"count": 3, "correct": 1.0},
        {"count": 4, "correct": 0.5},
        {"count": 1, "correct": 0.0},
    ]


def claim_format(fact, tag="I'm sure.", confidence=0.9):
    return f"1. {fact} {tag}\nConfidence: {confidence}"


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        # The rules of the former pocket SFT data: five samples in the claim format,
        # equal by their claims.
        (
            [
                (claim_format("The digit is 8."), 1),
                (claim_format("The digit is 3."), 1),
                (claim_format("the digit is 3", "I'm not sure.", 0.2), 1),
                ("what", 1),  # unreadable: wrong, and never the answer
                ("3", 1),
            ],
            "1. The digit is 3. I'm sure.\nConfidence: 0.4",  # (2 + 1) / (5 + 2) = 0.43
        ),
        (
            [(claim_format("The digit is 8."), 3), (claim_format("The digit is 3."), 1)],
            "1. The digit is 8. I'm not sure.\nConfidence: 0.3",  # (1 + 1) / (4 + 2) = 0.33
        ),
    ],
)
def test_answers_in_the_claim_format_bring_their_facts(step, answers, text):
    truth = json.dumps({"task": "QA", "facts": ["The digit is 3."]})
    ((record,), _, _) = step(
        [(question(0, "QA", truth), candidates(*answers))],
        "claims",
        confidence="samples",
        extractor=None,
    )
    assert record["text"] == text


def test_r_tuning_needs_a_judge_and_nothing_else_does(step):
    ((record,), _, _) = step([(question(), candidates((RED, 10)))], judge=None)
    assert (record["correct"], record["certain"], record["samples"]) == (None, None, [])
    assert record["confidence"] == 1.0
    with pytest.raises(UserError, match="sft.judge is not set"):
        step([(question(), candidates((RED, 10)))], judge=None, confidence="samples")
    with pytest.raises(UserError, match="sft.extractor is not set"):
        step([(question(), candidates((RED, 10)))], extractor=None)


def test_only_the_questions_of_the_split_take_part(step):
    items = [(question(i), candidates((RED, 10))) for i in range(4)]
    records, _, counts = step(items, splits={"q1": "train", "q2": "evaluation"})
    assert [record["question_id"] for record in records] == ["q0", "q3"] and counts.n_in == 2


def test_a_repeated_fact_is_stated_once(step):
    ((record,), _, _) = step([(question(), candidates((f"{RED} {BLUE} {RED.lower()}", 10)))])
    assert [fact["fact"] for fact in record["facts"]] == [RED, BLUE]


def test_every_question_that_gives_no_record_is_named_with_its_reason(step, tmp_path):
    torn = SourceQuestion(
        "q2", "pocket-scene", "Detail", "Describe the image.", "im2", b"no image", DETAIL
    )
    items = [
        (question(0), candidates((RED, 10))),
        (question(1), None),
        (torn, candidates((RED, 10))),
        (question(3), candidates(("...", 10))),
        (question(4), candidates(("It is red, I'm sure - or not.", 10))),
        (question(5), candidates((" ".join(f"Fact {i} is so." for i in range(65)), 10))),
        (question(6), candidates(("Ein Würfel. 立方体です。", 10))),
        (question(7), candidates(("long " * 2000 + "story.", 10))),
        (question(8, truth="no JSON"), candidates((RED, 10))),
    ]
    records, failures, counts = step(items)
    assert [record["question_id"] for record in records] == ["q0", "q6"]
    assert {
        failure["question_id" if "question_id" in failure else "place"]: failure["reason"]
        for failure in failures
    } == {
        "q1": "no answers",
        "q2": "unreadable image",
        "q3": "no facts",
        "q4": "facts that the claim format cannot hold",
        "q5": "too many facts",
        # 10,000 characters: a judge is shown 2,000 of a claim.
        "q7": "facts that the claim format cannot hold",
        "q8": "expert: ground truth",
    }
    assert counts.n_in == 9 and counts.n_out == 2


def test_eight_are_at_work_at_a_time_and_nobody_is_asked_twice(step):
    expert = Busy()
    records, _, _ = step(
        [(question(i), candidates((f"{RED} {BLUE}", 10))) for i in range(40)], experts=expert
    )
    assert expert.most == 8
    assert [record["question_id"] for record in records] == [f"q{i}" for i in range(40)]
    # One extraction and one judgement a question, a rewriting and a verification a fact.
    assert len(expert.asked) == 40 * (1 + 1 + 2 + 2)


def test_an_expert_that_fails_on_one_question_leaves_the_others(step):
    expert = Busy()
    expert.fail = lambda request: isinstance(request, FactsRequest) and "green" in request.response
    items = [(question(i), candidates((GREEN if i == 1 else RED, 10))) for i in range(3)]
    records, (failure,), counts = step(items, experts=expert)
    assert [record["question_id"] for record in records] == ["q0", "q2"]
    assert failure["reason"] == "expert: 5xx" and counts.again == 1
    # Nobody was asked further about the failed one.
    assert sum(isinstance(request, FactQuestionRequest) for request in expert.asked) == 2


@pytest.mark.parametrize("stopped_at", [0, 3, 10, 17, 25])
def test_a_run_that_was_stopped_goes_on_and_gives_the_same(step, tmp_path, stopped_at):
    items = [
        (question(i), candidates((f"{RED} {BLUE}", 10 - i % 3), (GREEN, i % 3))) for i in range(12)
    ]
    step(items, batch=4)
    whole = (tmp_path / "sft.jsonl").read_bytes()
    (tmp_path / "sft.jsonl").unlink()
    for partial in (tmp_path / "partial").glob("*"):
        partial.unlink()
    expert = Busy()
    expert.stop = lambda request: len(expert.asked) == stopped_at
    with pytest.raises(KeyboardInterrupt):
        step(items, experts=expert, batch=4, workers=1)
    assert not (tmp_path / "sft.jsonl").exists()
    step(items, batch=4)
    assert (tmp_path / "sft.jsonl").read_bytes() == whole


def test_what_sft_trains_is_always_well_formed(step):
    items = [(question(i), candidates((f"{RED} {BLUE} {GREEN}", 5), (RED, 5))) for i in range(3)]
    for record in step(items)[0]:
        parsed = parse_response(record["text"])
        assert parsed.well_formed and parsed.confidence == record["confidence"]


@pytest.mark.parametrize(
    "options",
    [
        {"confidence": "votes"},
        {"workers": 0},
        {"batch": 0},
        {"temperature": -1.0},
        {"max_tokens": 0},
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError):
        SftConfig(**options)
