"""SFT data from the base's own answers."""

import json

import pyarrow.parquet as pq
import pytest

from data_prep.pocket import data, sft
from reward_fns import claims

QUESTION = {
    "data_source": "pocket-scene",
    "prompt": [{"role": "user", "content": "<image>\nDescribe the image."}],
    "images": [{"bytes": b"png"}],
    "extra_info": {"question_id": "q1"},
}


def record(
    labels,
    texts=("A red 3 is at the top left.", "A blue 7 is at the top right.", "A red 1 is at the bottom left."),
    correct=0.5,
):
    said = [{"text": text, "sure": True} for text in texts[: len(labels)]]
    return {"question_id": "q1", "claims": said, "claim_labels": labels, "correct": correct}


def test_claims_are_tagged_by_their_labels():
    parsed = claims.parse_response(sft.retag(record([1, 0, 1]), 0.66))
    assert [claim.sure for claim in parsed.claims] == [True, False, True]
    assert [claim.text for claim in parsed.claims] == [said["text"] for said in record([1, 0, 1])["claims"]]
    assert parsed.confidence == 0.7
    assert parsed.well_formed


def test_a_question_gives_its_most_frequent_answer_and_the_chance_of_a_right_one():
    three, eight = ["The digit is 3."], ["The digit is 8."]
    answers = [
        record([0], eight, correct=0),
        record([1], three, correct=1),
        record([1], ["the digit is 3"], correct=1),  # the same claim in other words
        record([], correct=0),  # unreadable: wrong, and never the answer
        record([], correct=0),
    ]
    rows, unusable = sft.build([QUESTION], answers)
    (row,) = rows
    assert row["messages"][1]["content"] == "1. The digit is 3. I'm sure.\nConfidence: 0.4"  # (2 + 1) / (5 + 2)
    assert not unusable


def test_the_most_frequent_answer_may_be_wrong():
    answers = [record([0], ["The digit is 8."], correct=0)] * 3 + [record([1], ["The digit is 3."], correct=1)]
    ((row,), _) = sft.build([QUESTION], answers)
    assert row["messages"][1]["content"] == "1. The digit is 8. I'm not sure.\nConfidence: 0.3"  # (1 + 1) / (4 + 2)


@pytest.mark.parametrize(("verdicts", "chance"), [([1], 2 / 3), ([0], 1 / 3), ([1] * 5, 6 / 7), ([0.5, 1.0], 0.625)])
def test_chance_of_right_by_hand(verdicts, chance):
    assert sft.chance_of_right(verdicts) == pytest.approx(chance)


def test_unusable_questions_are_counted_by_reason():
    silent = {**QUESTION, "extra_info": {"question_id": "q2"}}
    records = [record([1]), {**record([]), "question_id": "q2"}, {**record([1]), "question_id": "other"}]
    rows, unusable = sft.build([QUESTION, silent], records)
    assert len(rows) == 1
    assert unusable == {"no claims": 1, "unknown question_id": 1}
    assert rows[0]["messages"][0] == QUESTION["prompt"][0]
    assert rows[0]["messages"][1]["role"] == "assistant"
    assert rows[0]["images"] == QUESTION["images"]
    assert rows[0]["data_source"] == "pocket-scene" and rows[0]["question_id"] == "q1"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{not json", "line 2"),
        ("[]", "line 2: not a JSON object"),
        ('{"question_id": "q1"}', "line 2: no claims, claim_labels, correct"),
        (json.dumps({**record([1]), "claim_labels": [1, 0]}), "line 2: claim_labels"),
        (json.dumps({**record([1]), "claim_labels": [2]}), "line 2: claim_labels"),
        (json.dumps({**record([1]), "claims": [{"sure": True}]}), "line 2: claims"),
        (json.dumps({**record([1]), "correct": 3}), "line 2: correct"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, complaint):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(record([1])) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=complaint):
        sft.read_records(path)


def test_missing_inputs_name_the_command_that_makes_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="eval records"):
        sft.read_records(tmp_path / "none.jsonl")
    with pytest.raises(FileNotFoundError, match="data_prep.pocket data"):
        sft.write(tmp_path / "none.parquet", tmp_path / "none.jsonl", tmp_path / "out.parquet")


def test_the_parquet_is_written_whole(tmp_path):
    data.write_parquet(tmp_path / "q.parquet", [QUESTION])
    (tmp_path / "r.jsonl").write_text(json.dumps(record([1, 0])) + "\n\n")
    n, unusable = sft.write(tmp_path / "q.parquet", tmp_path / "r.jsonl", tmp_path / "sft.parquet")
    rows = pq.read_table(tmp_path / "sft.parquet").to_pylist()
    assert n == len(rows) == 1 and not unusable
    assert set(rows[0]) == {"messages", "images", "data_source", "question_id"}


def test_no_usable_record_is_an_error(tmp_path):
    data.write_parquet(tmp_path / "q.parquet", [QUESTION])
    (tmp_path / "r.jsonl").write_text(json.dumps(record([])) + "\n")
    with pytest.raises(ValueError, match="no usable record"):
        sft.write(tmp_path / "q.parquet", tmp_path / "r.jsonl", tmp_path / "sft.parquet")
