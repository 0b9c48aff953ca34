"""Questions from a parquet, and one clear error for each way it can be wrong."""

import pytest

from data_prep.verl_rows import chat_content, load_questions
from reward_fns.errors import UserError


def test_image_marks_become_parts_as_in_the_rollout():
    assert chat_content("a <image>\nb") == [
        {"type": "text", "text": "a "},
        {"type": "image"},
        {"type": "text", "text": "b"},
    ]


def test_questions_come_in_the_order_of_the_rows(question_rows, write_questions):
    questions = load_questions(write_questions(question_rows(3)))
    assert [q.question_id for q in questions] == ["q0", "q1", "q2"]
    assert questions[0].messages == [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which digit?"}]}
    ]
    assert questions[0].image.startswith(b"\x89PNG") and questions[1].dataset == "pocket-1"


def test_limit_counts_within_each_dataset(question_rows, write_questions):
    questions = load_questions(write_questions(question_rows(6)), limit=1)
    assert [q.question_id for q in questions] == ["q0", "q1"]  # one of pocket-0, one of pocket-1


def set_in(row, path, value):
    for key in path[:-1]:
        row = row[key]
    row[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("images",), [], "row 1: needs one image"),
        (("images", 0), {"bytes": None}, "row 1: the image holds no bytes"),
        (("images", 0), {"bytes": b"\x89PNG but no more"}, "row 1: the image cannot be read"),
        (
            ("prompt", 0, "content"),
            "Which digit?",
            "row 1: needs one image and one <image> mark, has 1 and 0",
        ),
        (("extra_info", "question_id"), None, "row 1: extra_info lacks question_id"),
        (("extra_info", "question_id"), "q0", "row 1: question_id q0 stands twice"),
        (("reward_model", "ground_truth"), None, "row 1: reward_model lacks ground_truth"),
    ],
)
def test_bad_row_is_named(question_rows, write_questions, path, value, message):
    rows = question_rows(2)
    set_in(rows[1], path, value)
    with pytest.raises(UserError, match=message):
        load_questions(write_questions(rows))


def test_missing_column_is_named(question_rows, write_questions):
    rows = [
        {key: value for key, value in row.items() if key != "images"} for row in question_rows()
    ]
    with pytest.raises(UserError, match="lacks the column images"):
        load_questions(write_questions(rows))


def test_missing_corrupt_and_empty_files(tmp_path, question_rows, write_questions):
    with pytest.raises(UserError, match="no questions at .*data_prep"):
        load_questions(tmp_path / "none.parquet")
    (tmp_path / "corrupt.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="corrupt.parquet is not a readable parquet"):
        load_questions(tmp_path / "corrupt.parquet")
    path = write_questions(question_rows(1))
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).slice(0, 0), path)
    with pytest.raises(UserError, match="holds no questions"):
        load_questions(path)
