"""Record files: round trip, answers joined with confidences, malformed lines."""

import json
from dataclasses import asdict, fields

import pytest

from eval.records import Answer, load_records, read_answers, read_records, write_records
from reward_fns.errors import UserError


def test_records_come_back_as_they_were_written(tmp_path, make_record):
    records = [
        make_record(),
        make_record(
            "q1",
            confidence=None,
            well_formed=False,
            defects=["no_confidence"],
            response="é\n\u2028",
        ),
    ]
    write_records(tmp_path / "base.verbal.jsonl", records)
    assert read_records(tmp_path / "base.verbal.jsonl") == records


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '"text"', json.dumps({"model": "base"})],
)
def test_malformed_line_is_named_by_its_number(tmp_path, line, make_record):
    path = tmp_path / "base.verbal.jsonl"
    write_records(path, [make_record()])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match="line 2"):
        read_records(path)


@pytest.mark.parametrize(
    "changes",
    [{"confidence": 1.2}, {"confidence": float("nan")}, {"correct": None}, {"correct": "1"}],
)
def test_values_out_of_range_are_refused(changes, make_record):
    with pytest.raises(ValueError, match=next(iter(changes))):
        make_record(**changes)


def test_missing_file_names_the_command(tmp_path):
    with pytest.raises(UserError, match="python -m eval calibration"):
        read_records(tmp_path / "none.jsonl")


@pytest.fixture
def make_answer(make_record):
    def make(question_id="q0", **changes):
        record = make_record(question_id, **changes)
        return Answer(**{f.name: getattr(record, f.name) for f in fields(Answer)})

    return make


def lines_of(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


CONFIDENCE = {
    "question_id": "q0",
    "sample": 0,
    "confidence": 0.25,
    "texts": ["0.25"],
    "detail": {"k": 1},
}


def test_a_confidence_is_joined_with_its_answer(tmp_path, make_answer):
    write_records(
        tmp_path / "rl@20.answers.jsonl", [make_answer("q1"), make_answer("q0", subset="neutral")]
    )
    lines_of(tmp_path / "rl@20.pcr.jsonl", CONFIDENCE)
    (record,) = load_records(tmp_path)
    assert (record.question_id, record.protocol, record.confidence, record.subset) == (
        "q0",
        "pcr",
        0.25,
        "neutral",
    )
    assert (
        record.texts == ["0.25"]
        and record.detail == {"k": 1}
        and record.response == make_answer().response
    )
    assert read_records(tmp_path / "rl@20.pcr.jsonl") == [record]


def test_fields_that_older_records_lack_have_defaults(tmp_path, make_answer):
    old = asdict(make_answer())
    for name in (
        "subset",
        "vote_margin",
        "sample",
        "probabilities",
        "tag_probabilities",
        "stated_confidence",
    ):
        del old[name]
    lines_of(tmp_path / "base.answers.jsonl", old)
    (answer,) = read_answers(tmp_path / "base.answers.jsonl")
    assert answer == make_answer() and answer.vote_margin is None and answer.subset == ""


def test_a_confidence_without_its_answer_is_named(tmp_path, make_answer):
    lines_of(tmp_path / "base.pcr.jsonl", CONFIDENCE)
    with pytest.raises(UserError, match="no records at .*base.answers.jsonl"):
        load_records(tmp_path)
    write_records(tmp_path / "base.answers.jsonl", [make_answer("q1")])
    with pytest.raises(UserError, match="holds no answer to question q0"):
        load_records(tmp_path)


def test_an_answer_that_stands_twice_is_named(tmp_path, make_record):
    write_records(tmp_path / "base.verbal.jsonl", [make_record(), make_record()])
    with pytest.raises(UserError, match="q0#0 .* twice"):
        read_records(tmp_path / "base.verbal.jsonl")
    write_records(tmp_path / "base.verbal.jsonl", [make_record(), make_record(sample=1)])
    assert len(read_records(tmp_path / "base.verbal.jsonl")) == 2


def test_a_directory_that_is_not_whole_names_the_command(tmp_path, make_record):
    with pytest.raises(UserError, match="python -m eval calibration"):
        load_records(tmp_path)
    (tmp_path / "base.verbal.jsonl.partial").write_text("")
    with pytest.raises(UserError, match="run the same"):
        load_records(tmp_path)
