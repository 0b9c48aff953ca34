"""Writing verl's parquet rows: what is written can be read by us and by verl's own datasets,
and nothing else is.
"""

import re
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.verl_rows import load_questions, question_writer, sft_writer
from reward_fns.errors import UserError

MEASURED = {
    "subset": "contradiction",
    "share_true": 0.7,
    "vote_margin": 0.4,
    "entity_rarity": 12.5,
    "entity_count": 2,
}


def write(path, rows, images="bytes"):
    with question_writer(path, images) as out:
        for row in rows:
            out.write(row)
    return path


def sft_row(row, answer="1. The digit is 7. I'm sure.\nConfidence: 0.7"):
    return {
        "messages": [*row["prompt"], {"role": "assistant", "content": answer}],
        "images": row["images"],
        "data_source": row["data_source"],
        "question_id": row["extra_info"]["question_id"],
    }


def test_all_fields_come_back(tmp_path, question_rows):
    plain, measured = question_rows(2)
    measured["extra_info"] |= MEASURED | {"answers": ["7", "seven"]}
    first, second = load_questions(write(tmp_path / "q.parquet", [plain, measured]))
    assert (first.subset, first.share_true, first.entity_count, first.answers) == (
        "",
        None,
        None,
        (),
    )
    assert {name: getattr(second, name) for name in MEASURED} == MEASURED
    assert second.answers == ("7", "seven")
    assert second.image == measured["images"][0]["bytes"]


def test_an_image_may_be_a_reference(tmp_path, question_rows):
    (row,) = question_rows(1)
    content = row["images"][0]["bytes"]
    (tmp_path / "i.png").write_bytes(content)
    row["images"] = [{"image": str(tmp_path / "i.png")}]
    path = write(tmp_path / "q.parquet", [row], "image")
    assert load_questions(path)[0].image == content
    (tmp_path / "i.png").unlink()
    with pytest.raises(
        UserError, match=r"row 0: image .*i\.png cannot be opened \(No such file or directory\)"
    ):
        load_questions(path)


def test_images_stay_in_the_file_until_they_are_asked_for(tmp_path, question_rows, monkeypatch):
    """Of 60 questions with 256 kB each, in groups of 4,
    no more than a few are in memory at once.
    """
    monkeypatch.setattr("data_prep.verl_rows.write._GROUP_ROWS", 4)
    rows = question_rows(60)
    for i, row in enumerate(rows):
        # bytes after its end belong to no picture, so this stays the picture that it is
        row["images"] = [{"bytes": row["images"][0]["bytes"] + bytes([i]) * 2**18}]
    path = write(tmp_path / "q.parquet", rows)
    assert pq.read_metadata(path).num_row_groups == 15
    tracemalloc.start()
    questions = load_questions(path)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 60 * 2**18 / 4
    for i in (0, 59, 17, 3):
        assert questions[i].image == rows[i]["images"][0]["bytes"]
        assert replace(questions[i], subset="neutral").image == rows[i]["images"][0]["bytes"]
    of_both = load_questions(path, limit=2)  # of each dataset
    assert [q.image for q in of_both] == [q.image for q in questions[:4]]
    write(path, rows[:5])
    with pytest.raises(UserError, match="written again since its questions were read"):
        _ = questions[30].image


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row["extra_info"].update(task="Detial"), "row 1: task is 'Detial'"),
        (lambda row: row["extra_info"].update(subset="easy"), "row 1: subset is 'easy'"),
        (lambda row: row["extra_info"].update(share_true=1.5), "row 1: share_true is 1.5"),
        (
            lambda row: row["extra_info"].update(entity_rarity=float("nan")),
            "row 1: entity_rarity is nan",
        ),
        (
            lambda row: row["extra_info"].update(question_id="q0"),
            "row 1: question_id q0 stands twice",
        ),
        (
            lambda row: row["extra_info"].update(hardness=1),
            "row 1: extra_info has no field hardness",
        ),
        (lambda row: row["extra_info"].update(index="one"), "row 1: a value has the wrong type"),
        (lambda row: row.update(note="x"), "row 1: columns note are missing or unknown"),
        (lambda row: row.pop("ability"), "row 1: columns ability are missing or unknown"),
        (lambda row: row["images"][0].update(bytes=b"no image"), "row 1: the image cannot be read"),
        (
            lambda row: row.update(images=[{"image": "i.png"}]),
            "row 1: the images of this file are given as",
        ),
        (
            lambda row: row["prompt"][0].update(content="Which?"),
            "row 1: needs one image and one <image> mark",
        ),
    ],
)
def test_a_refused_row_is_named_and_the_others_are_written(
    tmp_path, question_rows, change, message
):
    rows = question_rows(3)
    change(rows[1])
    path = tmp_path / "q.parquet"
    with question_writer(path, "bytes") as out:
        out.write(rows[0])
        with pytest.raises(UserError, match=message):
            out.write(rows[1])
        out.write(rows[2])
    assert [q.question_id for q in load_questions(path)] == ["q0", "q2"]


def test_what_is_refused_on_writing_is_refused_on_reading(question_rows, write_questions):
    rows = question_rows(2)
    rows[1]["extra_info"]["task"] = "Detial"
    with pytest.raises(UserError, match="row 1: task is 'Detial'"):
        load_questions(write_questions(rows))


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, question_rows):
    path = write(tmp_path / "q.parquet", question_rows(1))
    before = path.read_bytes()
    with pytest.raises(RuntimeError), question_writer(path, "bytes") as out:
        out.write(question_rows(2)[1])
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    """A limit on the size of files gives the same error as a full disk:
    the write fails, now or on closing.
    """
    code = """
import io, resource, sys
from pathlib import Path
from PIL import Image
from data_prep.verl_rows import sft_writer

def noise():
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    return buffer.getvalue()

def write(n):
    turns = [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "x"}]
    with sft_writer(Path(sys.argv[1]), "bytes") as out:
        for i in range(n):
            images = [{"bytes": noise()}]
            row = {"messages": turns, "images": images, "data_source": "d", "question_id": str(i)}
            out.write(row)

write(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write(200)
except OSError as error:
    print(error)
"""
    path = tmp_path / "sft.parquet"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120
    )
    assert "File too large" in done.stdout, done.stderr
    assert pq.read_metadata(path).num_rows == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_rows_give_the_same_bytes(tmp_path, question_rows):
    first, second = (
        write(tmp_path / name, question_rows(4)).read_bytes() for name in ("a.parquet", "b.parquet")
    )
    assert first == second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row["messages"].pop(), "messages are"),
        (lambda row: row["messages"][1].update(content=" "), "the assistant's turn is empty"),
        (
            lambda row: row["messages"][1].update(content=" Seven."),
            "the assistant's turn begins with a blank",
        ),
        (lambda row: row.update(question_id=""), "question_id or data_source is empty"),
    ],
)
def test_sft_rows_have_rules_too(tmp_path, question_rows, change, message):
    row = sft_row(question_rows(1)[0])
    change(row)
    with (
        sft_writer(tmp_path / "sft.parquet", "bytes") as out,
        pytest.raises(UserError, match=f"row 0: {message}"),
    ):
        out.write(row)


def test_memory_does_not_grow_with_the_file(tmp_path, question_rows):
    """Arrow holds the rows that are not written yet: never more than a group of 1,024,
    here of about 4 KB each.
    """
    (row,) = question_rows(1)

    def most_held(n):
        before, most = pa.total_allocated_bytes(), 0
        with question_writer(tmp_path / f"{n}.parquet", "bytes") as out:
            for i in range(n):
                out.write({**row, "extra_info": {**row["extra_info"], "question_id": f"q{i}"}})
                most = max(most, pa.total_allocated_bytes() - before)
        return most

    short, long = most_held(1500), most_held(4500)
    assert 1024 * len(row["images"][0]["bytes"]) < short
    assert long < 1.05 * short


@pytest.mark.parametrize("kind", ["bytes", "image"])
def test_what_verl_loads_is_what_was_written(tmp_path, question_rows, kind):
    """verl loads parquet by the `datasets` library."""
    import datasets

    rows = question_rows(2)
    rows[0]["extra_info"] |= MEASURED
    if kind == "image":
        for i, row in enumerate(rows):
            (tmp_path / f"{i}.png").write_bytes(row["images"][0]["bytes"])
            row["images"] = [{"image": str(tmp_path / f"{i}.png")}]
    path = write(tmp_path / "q.parquet", rows, kind)
    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), cache_dir=str(tmp_path / "cache")
    )["train"]
    assert [row["images"] for row in loaded] == [row["images"] for row in rows]
    assert (
        loaded[0]["extra_info"]["share_true"] == 0.7
        and loaded[1]["extra_info"]["share_true"] is None
    )
    assert pq.read_schema(path).names == list(rows[0])


@pytest.mark.parametrize("mark", ["<video>", "<audio>", "<|vision_start|>"])
def test_a_mark_of_other_media_is_refused_with_its_row(tmp_path, question_rows, mark):
    row = question_rows(1)[0]
    turn = {"role": "user", "content": f"<image>\nWhat is {mark}?"}
    with pytest.raises(UserError, match=f"row 0.*{re.escape(mark)}"):
        write(tmp_path / "questions.parquet", [row | {"prompt": [turn]}])


def test_an_image_that_is_no_regular_file_is_refused(tmp_path, question_rows):
    row = question_rows(1)[0] | {"images": [{"image": "/dev/zero"}]}
    with pytest.raises(UserError, match="/dev/zero is no regular file"):
        write(tmp_path / "questions.parquet", [row], "image")
