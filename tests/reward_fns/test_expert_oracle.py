import asyncio
import json

import pytest

from reward_fns.expert import (
    AnswerRequest,
    EntitiesRequest,
    ExpertError,
    FactRequest,
    FactsRequest,
    make_expert,
)
from reward_fns.expert.oracle import OracleExpert

QA = json.dumps({"task": "QA", "facts": ["The digit is 7.", "It shows a seven."]})
DETAIL = json.dumps(
    {"task": "Detail", "facts": ["A red 3.", "A blue 7.", "A green 1.", "A red 9."]}
)


def judge(ground_truth, *claims, task="QA", response="the response"):
    request = AnswerRequest("Which digit?", task, claims, response, ground_truth)
    return asyncio.run(OracleExpert().ask(request))


def test_a_claim_is_true_if_it_is_one_of_the_facts_after_normalisation():
    assert judge(QA, "the digit  IS 7", "It shows a seven.", "The digit is 1.").claim_labels == (
        1,
        1,
        0,
    )


def test_a_qa_answer_is_right_if_it_has_claims_and_all_are_true():
    assert judge(QA, "The digit is 7.").overall == 1
    assert judge(QA, "The digit is 7.", "The digit is 1.").overall == 0
    assert judge(QA, response="").overall == 0


def test_a_description_is_graded_by_facts_missed_and_claims_false():
    assert judge(DETAIL, "A red 3.", "A blue 7.").overall == 2 / 4  # two of four facts left out
    assert (
        judge(DETAIL, "A red 3.", "a red 3", "A blue 7.").overall == 2 / 4
    )  # a repetition is no further fact
    assert (
        judge(DETAIL, "A red 3.", "B.", "C.", "D.", "E.").overall == 1 / 5
    )  # more claims than facts
    assert judge(DETAIL, "A red 3.", "A blue 7.", "A green 1.", "A red 9.").overall == 1


def test_the_number_of_facts_can_be_given():
    truth = json.dumps({"task": "Detail", "facts": ["A red 3.", "A 3 in red."], "n_facts": 1})
    assert judge(truth, "A red 3.", task="Detail").overall == 1


def test_the_ground_truth_s_task_goes_before_the_request_s():
    assert judge(DETAIL, "A red 3.", task="QA").overall == 1 / 4
    assert (
        judge(json.dumps({"facts": ["A red 3.", "B."]}), "A red 3.", task="Detail").overall == 1 / 2
    )


@pytest.mark.parametrize(
    "ground_truth",
    [
        None,
        "",
        "7",
        "[1]",
        "{",
        "[" * 100000,
        '{"task": "QA"}',
        '{"facts": []}',
        '{"facts": [7]}',
        '{"facts": ["."]}',
    ]
    + ['{"task": "VQA", "facts": ["a"]}', '{"task": "QA", "facts": ["a"], "n_facts": 0}'],
)
def test_an_unreadable_ground_truth_is_an_error_that_names_the_record(ground_truth):
    with pytest.raises(ExpertError, match="'Which digit\\?' is not readable"):
        judge(ground_truth, "The digit is 7.")


def test_without_claims_the_sentences_of_the_answer_are_judged():
    assert judge(QA, response="The digit is 7.").overall == 1
    assert judge(QA, response="The digit is 7. The digit is 1.").overall == 0
    verdict = judge(DETAIL, task="Detail", response="A red 3. A blue 7.\nA green 2.")
    assert (verdict.claim_labels, verdict.overall) == ((), 2 / 4)


def test_a_fact_is_true_if_it_is_one_of_the_facts_and_facts_are_sentences():
    def true(fact):
        return asyncio.run(OracleExpert().ask(FactRequest(fact, "What is it?", "no idea", QA))).true

    assert true("the digit is 7") and not true("The digit is 1.")
    facts = asyncio.run(
        OracleExpert().ask(FactsRequest("Describe.", "A red 3. A blue 7!\nA green 1"))
    ).facts
    assert facts == ("A red 3.", "A blue 7!", "A green 1")


def test_what_it_cannot_know_is_an_error_that_says_so():
    with pytest.raises(ExpertError, match="the oracle answers no EntitiesRequest"):
        asyncio.run(OracleExpert().ask(EntitiesRequest("Oslo")))


def test_errors_do_not_hold_the_reference():
    with pytest.raises(ExpertError) as error:
        judge('{"facts": "secret-of-the-data"}', "The digit is 7.")
    assert "secret-of-the-data" not in str(error.value)


def test_a_configuration_names_it():
    assert isinstance(make_expert("oracle"), OracleExpert)
    assert isinstance(make_expert({"kind": "oracle"}), OracleExpert)
