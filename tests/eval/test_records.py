"""Record files: round trip, resume after a kill, malformed lines."""

import json

import pytest

from eval.records import RecordLog, read_records, write_records
from reward_fns.errors import UserError


def test_records_come_back_as_they_were_written(tmp_path, make_record):
    records = [
        make_record(),
        make_record("q1", confidence=None, well_formed=False, defects=["no_confidence"], response="é\n\u2028"),
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
    "changes", [{"confidence": 1.2}, {"confidence": float("nan")}, {"correct": None}, {"correct": "1"}]
)
def test_values_out_of_range_are_refused(changes, make_record):
    with pytest.raises(ValueError, match=next(iter(changes))):
        make_record(**changes)


def test_missing_file_names_the_command(tmp_path):
    with pytest.raises(UserError, match="python -m eval calibration"):
        read_records(tmp_path / "none.jsonl")


def test_file_gets_its_name_only_when_it_is_whole(tmp_path, make_record):
    path = tmp_path / "base.verbal.jsonl"
    log = RecordLog(path)
    log.append([make_record("q0")])
    assert not path.exists()
    log.finish()
    assert [r.question_id for r in read_records(path)] == ["q0"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_resume_after_a_kill_keeps_whole_lines(tmp_path, make_record):
    path = tmp_path / "base.verbal.jsonl"
    RecordLog(path).append([make_record("q0"), make_record("q1")])
    with (tmp_path / "base.verbal.jsonl.partial").open("a") as partial:
        partial.write('{"model": "ba')  # what a kill in the middle of a write leaves
    log = RecordLog(path)
    assert log.done == {"q0", "q1"}
    log.append([make_record("q2")])
    log.finish()
    assert [r.question_id for r in read_records(path)] == ["q0", "q1", "q2"]


def test_a_question_whose_samples_a_kill_cut_short_is_asked_again(tmp_path, make_record):
    path = tmp_path / "base.verbal.jsonl"
    RecordLog(path, samples=2).append([make_record("q0"), make_record("q0", sample=1), make_record("q1")])
    log = RecordLog(path, samples=2)
    assert log.done == {"q0"}
    log.append([make_record("q1"), make_record("q1", sample=1)])
    log.finish()
    assert [r.question_id for r in read_records(path)] == ["q0", "q0", "q1", "q1"]


def test_finished_file_can_grow(tmp_path, make_record):
    path = tmp_path / "base.verbal.jsonl"
    write_records(path, [make_record("q0")])
    log = RecordLog(path)
    assert log.done == {"q0"}
    log.append([make_record("q1")])
    assert [r.question_id for r in read_records(path)] == ["q0"]
    log.finish()
    assert [r.question_id for r in read_records(path)] == ["q0", "q1"]
