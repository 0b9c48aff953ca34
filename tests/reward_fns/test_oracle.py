import asyncio
import json

import pytest

from reward_fns.expert import ExpertError, ExpertRequest, OpenAIExpert, OracleExpert, make_expert

QA = json.dumps({"task": "QA", "facts": ["The digit is 7.", "It shows a seven."]})
DETAIL = json.dumps({"task": "Detail", "facts": ["A red 3.", "A blue 7.", "A green 1.", "A red 9."]})


def judge(ground_truth, *claims, task="QA"):
    request = ExpertRequest("Which digit?", task, claims, "the response", ground_truth)
    return asyncio.run(OracleExpert().judge(request))


def test_a_claim_is_true_if_it_is_one_of_the_facts_after_normalisation():
    assert judge(QA, "the digit  IS 7", "It shows a seven.", "The digit is 1.").claim_labels == (1, 1, 0)


def test_a_qa_answer_is_right_if_it_has_claims_and_all_are_true():
    assert judge(QA, "The digit is 7.").overall == 1
    assert judge(QA, "The digit is 7.", "The digit is 1.").overall == 0
    assert judge(QA).overall == 0


def test_a_description_is_graded_by_facts_missed_and_claims_false():
    assert judge(DETAIL, "A red 3.", "A blue 7.").overall == 2 / 4  # two of four facts left out
    assert judge(DETAIL, "A red 3.", "a red 3", "A blue 7.").overall == 2 / 4  # a repetition is no further fact
    assert judge(DETAIL, "A red 3.", "B.", "C.", "D.", "E.").overall == 1 / 5  # more claims than facts
    assert judge(DETAIL, "A red 3.", "A blue 7.", "A green 1.", "A red 9.").overall == 1


def test_the_number_of_facts_can_be_given():
    truth = json.dumps({"task": "Detail", "facts": ["A red 3.", "A 3 in red."], "n_facts": 1})
    assert judge(truth, "A red 3.", task="Detail").overall == 1


def test_the_ground_truth_s_task_goes_before_the_request_s():
    assert judge(DETAIL, "A red 3.", task="QA").overall == 1 / 4
    assert judge(json.dumps({"facts": ["A red 3.", "B."]}), "A red 3.", task="Detail").overall == 1 / 2


@pytest.mark.parametrize(
    "ground_truth",
    [None, "", "7", "[1]", "{", "[" * 100000, '{"task": "QA"}', '{"facts": []}', '{"facts": [7]}', '{"facts": ["."]}']
    + ['{"task": "VQA", "facts": ["a"]}', '{"task": "QA", "facts": ["a"], "n_facts": 0}'],
)
def test_an_unreadable_ground_truth_is_an_error_that_names_the_record(ground_truth):
    with pytest.raises(ExpertError, match="'Which digit\\?' is not readable"):
        judge(ground_truth, "The digit is 7.")


def test_a_configuration_names_an_expert():
    assert isinstance(make_expert("oracle"), OracleExpert)
    assert isinstance(make_expert({"kind": "oracle"}), OracleExpert)
    expert = make_expert({"kind": "openai", "model": "judge", "base_url": "http://localhost/v1", "timeout": 3})
    assert isinstance(expert, OpenAIExpert)
    assert expert.name == "judge"


@pytest.mark.parametrize("config", ["human", {}, {"kind": "openai"}, {"kind": "oracle", "model": "x"}])
def test_a_wrong_expert_configuration_is_an_error_that_names_the_kind(config):
    with pytest.raises(ValueError, match="oracle|openai"):
        make_expert(config)
