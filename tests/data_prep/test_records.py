"""Record files: one entry an input in its order, whole chunks again after a kill,
counts that add up.
"""

import json

import pytest

from data_prep.questions import SourceQuestion
from data_prep.steps.step_log import Counts, Failure, StepLog, join
from reward_fns.errors import UserError


def _log(folder):
    return StepLog(
        folder / "partial" / "step.jsonl",
        folder / "records.jsonl",
        folder / "failures" / "step.jsonl",
    )


def _entry(i):
    return (
        Failure("d", str(i), "odd one", f"number {i}")
        if i % 5 == 3
        else {"question_id": str(i), "dataset": "d"}
    )


def _run(folder, n, size, until=None):
    """Write the entries of n inputs, at most `until` chunks of them;
    the inputs that had to be computed.
    """
    log, computed = _log(folder), []
    for number, chunk in enumerate(log.chunks(range(n), size)):
        if number == until:
            return computed
        computed += chunk
        log.write([_entry(i) for i in chunk])
    return log.finish(), computed


def test_records_and_failures_are_split_and_counted(tmp_path):
    # Of 0..11 the numbers 3 and 8 fail: 12 = 10 + 2.
    counts, _ = _run(tmp_path, 12, 4)
    assert (counts.n_in, counts.n_out, counts.dropped) == (12, 10, {"odd one": 2})
    ids = [
        json.loads(line)["question_id"]
        for line in (tmp_path / "records.jsonl").read_text().splitlines()
    ]
    assert ids == [str(i) for i in range(12) if i not in (3, 8)]
    failed = [
        json.loads(line) for line in (tmp_path / "failures" / "step.jsonl").read_text().splitlines()
    ]
    assert failed[1] == {"dataset": "d", "place": "8", "reason": "odd one", "detail": "number 8"}


@pytest.mark.parametrize("torn", range(0, 1100, 37))
def test_killed_anywhere_the_files_are_the_same_and_only_the_torn_chunk_is_computed_again(
    tmp_path, torn
):
    whole = tmp_path / "whole"
    expected, _ = _run(whole, 23, 4)
    size = (whole / "partial" / "step.jsonl").stat().st_size
    kept = min(torn, size)
    broken = tmp_path / "broken"
    (broken / "partial").mkdir(parents=True)
    (broken / "partial" / "step.jsonl").write_bytes(
        (whole / "partial" / "step.jsonl").read_bytes()[:kept]
    )
    lines = (broken / "partial" / "step.jsonl").read_bytes().count(b"\n")

    counts, computed = _run(broken, 23, 4)

    assert counts == expected
    for name in ("records.jsonl", "failures/step.jsonl", "partial/step.jsonl"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert computed == list(range(lines - lines % 4 if lines < 23 else 23, 23))


def test_a_chunk_is_the_same_after_a_kill_between_chunks(tmp_path):
    # 23 in chunks of 4: two of them done, then 8..11, 12..15, 16..19, 20..22.
    assert _run(tmp_path, 23, 4, until=2) == list(range(8))
    counts, computed = _run(tmp_path, 23, 4)
    assert computed == list(range(8, 23)) and counts.n_in == 23


def test_an_entry_too_few_is_an_error(tmp_path):
    log = _log(tmp_path)
    with pytest.raises(ValueError, match="1 entries for 2 inputs"):
        for _ in log.chunks(range(2), 2):
            log.write([_entry(0)])


def test_no_inputs_give_empty_files(tmp_path):
    counts, _ = _run(tmp_path, 0, 4)
    assert counts == Counts(0, 0) and (tmp_path / "records.jsonl").read_bytes() == b""


def test_what_is_kept_without_a_result_is_noted_and_what_may_work_later_is_remembered(tmp_path):
    log = _log(tmp_path)
    for _ in log.chunks(range(3), 3):
        log.write(
            [
                {"question_id": "a", "dataset": "d", "reason": "expert: 500", "again": True},
                {"question_id": "b", "dataset": "d", "reason": "all true"},
                Failure("d", "c", "expert: timeout", again=True),
            ]
        )
    counts = log.finish()
    assert counts == Counts(
        3, 2, {"expert: timeout": 1}, {"all true": 1, "expert: 500": 1}, again=2
    )
    assert "again" not in (tmp_path / "records.jsonl").read_text()


def test_counts_that_do_not_add_up_are_an_error():
    with pytest.raises(RuntimeError, match="do not add up"):
        Counts(3, 1, {"lost": 1})


def _questions(ids):
    return [SourceQuestion(i, "d", "QA", "?", "im", b"", "") for i in ids]


def _write(path, ids):
    path.write_text("".join(json.dumps({"question_id": i, "from": path.name}) + "\n" for i in ids))
    return path


def test_join_walks_files_that_lack_records(tmp_path):
    first, second = _write(tmp_path / "a", "ac"), _write(tmp_path / "b", "bc")
    joined = [
        (question.question_id, *(record and record["from"] for record in records))
        for question, records in join(_questions("abcd"), first, second)
    ]
    assert joined == [("a", "a", None), ("b", None, "b"), ("c", "a", "b"), ("d", None, None)]


def test_join_names_a_record_out_of_order(tmp_path):
    with pytest.raises(UserError, match="record of 'a' is not in the order"):
        list(join(_questions("abc"), _write(tmp_path / "a", "ba")))
