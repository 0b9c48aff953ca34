"""What frameworks and public data files hand over, in their own columns, becomes one `Sample`."""

import asyncio
import json

import numpy as np
import pytest

from reward_fns.claims import FORMAT_INSTRUCTION
from reward_fns.errors import ConfigurationError
from reward_fns.expert import AnswerRequest, make_expert
from reward_fns.sample import Sample, read_sample


def read(truth="7", info=None, **given):
    info = {"question": "Which digit?"} if info is None else info
    return read_sample(data_source="toy", ground_truth=truth, extra_info=info, **given)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (float("nan"), None),
        ("", ""),
        (" 7 ", " 7 "),
        (np.str_("7"), "7"),
        (b"sept \xc3\xa9", "sept é"),
        (0, "0"),
        (72, "72"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (np.int64(0), "0"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.array("7"), "7"),
        (np.array([1, 2]), "[1, 2]"),
        (np.array(["Paris", "paris"], dtype=object), '["Paris", "paris"]'),
        (("a", "b"), '["a", "b"]'),
        ({"target": np.array(["Paris"], dtype=object)}, '{"target": ["Paris"]}'),
        # Parquet gives every row the fields of all rows.
        ({"facts": ["A 7."], "n_facts": None}, '{"facts": ["A 7."]}'),
    ],
    ids=repr,
)
def test_a_ground_truth_becomes_text(value, text):
    truth = read(value).ground_truth
    assert truth == text
    assert type(truth) in (str, type(None))


@pytest.mark.parametrize(
    "value",
    [{1, 2}, object(), b"\xff", float("inf"), {"a": [{3}]}],
    ids=["set", "object", "bytes", "infinite", "nested set"],
)
def test_a_ground_truth_without_text_form_names_the_sample_and_the_remedy(value):
    with pytest.raises(ConfigurationError, match="sample q1 of dataset 'toy'.*ground truth.*give"):
        read(value, {"question": "Which?", "question_id": "q1"})


def test_the_oracle_reads_its_own_json_given_as_a_dict():
    truth = {"task": "QA", "facts": np.array(["The digit is 7."], dtype=object), "n_facts": None}
    sample = read(truth)
    request = AnswerRequest(
        sample.question, sample.task, ("The digit is 7.",), "The digit is 7.", sample.ground_truth
    )
    assert asyncio.run(make_expert("oracle").ask(request)).overall == 1.0


def test_the_question_of_extra_info_goes_before_the_prompt_s():
    prompt = [{"role": "user", "content": "Prompt?"}]
    assert read(prompt=prompt).question == "Which digit?"
    assert read(info={"index": 3}, prompt=prompt).question == "Prompt?"
    assert read(info={"question": "  "}, prompt=prompt).question == "Prompt?"
    # As it is, spaces included: the key of a kept verdict depends on it.
    assert read(info={"question": "Which digit? "}).question == "Which digit? "


@pytest.mark.parametrize(
    "prompt",
    [
        f"<image>\nWhich digit?\n{FORMAT_INSTRUCTION}",
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": f"<image>\n<image>\nWhich digit?\n{FORMAT_INSTRUCTION}"},
        ],
        [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": object()},
                    {"type": "text", "text": "Which digit?"},
                    {"type": "text", "text": FORMAT_INSTRUCTION},
                ],
            }
        ],
        np.array(
            [{"role": "user", "content": np.array([{"type": "text", "text": "Which digit?"}])}],
            dtype=object,
        ),
        [
            {
                "role": "user",
                "content": "<|vision_start|><|image_pad|><|vision_end|>Which digit?",
            }
        ],
    ],
    ids=["text", "turns", "parts", "numpy", "qwen"],
)
def test_the_question_of_a_prompt_is_its_last_user_turn_s_text(prompt):
    assert read(info={}, prompt=prompt).question == "Which digit?"


@pytest.mark.parametrize(
    "prompt",
    [
        None,
        "",
        [],
        [{"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": "<image>"}],
        [{"role": "user", "content": [{"type": "image"}]}],
        [{"role": "user", "content": FORMAT_INSTRUCTION}],
    ],
)
@pytest.mark.parametrize("info", [{}, {"index": 3}, {"question": None}, {"question": "<image>"}])
def test_without_a_question_a_sample_is_refused(info, prompt):
    with pytest.raises(ConfigurationError, match="has no question.*extra_info"):
        read(info=info, prompt=prompt)


def test_an_extra_info_that_is_no_mapping_is_refused():
    with pytest.raises(ConfigurationError, match="dataset 'toy' has a str as extra_info"):
        read(info='{"question": "Which digit?"}')


@pytest.mark.parametrize(
    ("given", "truth", "task"),
    [
        (None, "7", "QA"),
        (None, None, "QA"),
        (None, '{"task": "Detail", "facts": ["A dog."]}', "Detail"),
        (None, {"task": "Detail", "facts": ["A dog."]}, "Detail"),
        ("QA", {"task": "Detail", "facts": ["A dog."]}, "QA"),
        ("detail", "7", "Detail"),
        (" DETAIL", "7", "Detail"),
        ("qa", "7", "QA"),
    ],
)
def test_the_task_is_extra_info_s_then_the_truth_s_then_qa(given, truth, task):
    assert read(truth, {"question": "Which?", "task": given}).task == task


@pytest.mark.parametrize(
    ("given", "truth"), [("caption", "7"), ("", "7"), (3, "7"), (None, {"task": "caption"})]
)
def test_an_unknown_task_is_refused_and_never_qa(given, truth):
    with pytest.raises(ConfigurationError, match="sample 5 .*unknown task.*QA.*Detail"):
        read(truth, {"question": "Which?", "task": given, "index": 5})


# The columns that the named scripts of verl and Search-R1 write, and DAPO-Math-17k's.
GSM8K = {  # examples/data_preprocess/gsm8k.py
    "data_source": "openai/gsm8k",
    "prompt": [{"role": "user", "content": "Natalia sold 48 clips. How many? Let's think."}],
    "reward_model": {"style": "rule", "ground_truth": "72"},
    "extra_info": {
        "split": "train",
        "index": 0,
        "answer": "48 + 24 = 72 #### 72",
        "question": "Natalia sold 48 clips. How many?",
    },
}
GEO3K = {  # examples/data_preprocess/geo3k.py
    "data_source": "hiyouga/geometry3k",
    "prompt": [{"role": "user", "content": "<image>Find x. You FIRST think."}],
    "reward_model": {"style": "rule", "ground_truth": "3"},
    "extra_info": {"split": "train", "index": 0, "answer": "3", "question": "<image>Find x."},
}
SEARCH_R1 = {  # scripts/data_process/nq_search.py
    "data_source": "nq",
    "prompt": np.array(
        [{"role": "user", "content": "Answer the given question. Question: who wrote it?"}],
        dtype=object,
    ),
    "reward_model": {
        "style": "rule",
        "ground_truth": {"target": np.array(["Hugo", "Victor Hugo"], dtype=object)},
    },
    "extra_info": {"split": "train", "index": 4},
}
DAPO = {  # BytedTsinghua-SIA/DAPO-Math-17k
    "data_source": "math_dapo",
    "prompt": [{"role": "user", "content": "Solve the problem. Find 2 + 32."}],
    "reward_model": {"style": "rule-lighteval/MATH_v2", "ground_truth": "34"},
    "extra_info": {"index": "9a9b6eb4-a1cb-49d1-8c1e-62eaf2f74079"},
}


@pytest.mark.parametrize(
    ("row", "sample"),
    [
        (
            GSM8K,
            Sample("openai/gsm8k", "Natalia sold 48 clips. How many?", "QA", "72", (), "0"),
        ),
        (GEO3K, Sample("hiyouga/geometry3k", "Find x.", "QA", "3", (), "0")),
        (
            SEARCH_R1,
            Sample(
                "nq",
                "Answer the given question. Question: who wrote it?",
                "QA",
                '{"target": ["Hugo", "Victor Hugo"]}',
                (),
                "4",
            ),
        ),
        (
            DAPO,
            Sample(
                "math_dapo",
                "Solve the problem. Find 2 + 32.",
                "QA",
                "34",
                (),
                "9a9b6eb4-a1cb-49d1-8c1e-62eaf2f74079",
            ),
        ),
    ],
    ids=["gsm8k", "geo3k", "search_r1", "dapo"],
)
def test_rows_of_public_data_files_are_read(row, sample):
    read = read_sample(
        data_source=row["data_source"],
        ground_truth=row["reward_model"]["ground_truth"],
        extra_info=row["extra_info"],
        prompt=row["prompt"],
    )
    assert read == sample
    json.dumps(read.ground_truth)
