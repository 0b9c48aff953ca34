"""Datasets of one's own (JSONL, parquet, Hugging Face) and the pocket ones."""

import hashlib
import io
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import datasets as hf
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.questions import SourceQuestion
from reward_fns.errors import UserError


def png(value=0):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_jsonl_with_the_default_names(put, read, tmp_path):
    record = {
        "question_id": "q7",
        "question": "Welcher Vogel? 鳥",
        "image": "birds/amsel.jpg",
        "image_id": "amsel",
        "ground_truth": "Amsel",
        "answers": ["Amsel", "blackbird"],
        "task": "Detail",
    }
    put("birds.jsonl", json.dumps(record, ensure_ascii=False) + "\n")
    assert read("my-birds", kind="jsonl", file="birds.jsonl", images="pictures") == (
        [
            SourceQuestion(
                "my-birds/q7",
                "my-birds",
                "Detail",
                "Welcher Vogel? 鳥",
                "my-birds/amsel",
                tmp_path / "pictures/birds/amsel.jpg",
                "Amsel",
                ("Amsel", "blackbird"),
            )
        ],
        [],
    )


def test_fields_of_other_names_and_defaults_for_what_is_missing(put, read):
    lines = [
        {"q": "Which?", "file": "a.png", "labels": ["two", "2", "3"]},
        {"q": "And?", "file": "a.png"},
    ]
    put("mine.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    names = {"question": "q", "image": "file", "answers": "labels"}
    (first, second), _ = read("mine", kind="jsonl", file="mine.jsonl", fields=names)
    assert (first.question_id, first.image_id, first.task) == ("mine/0", "mine/a.png", "QA")
    assert (first.ground_truth, second.question_id, second.ground_truth) == ("two", "mine/1", "")


def test_a_malformed_line_in_the_middle_is_named_and_the_others_go_on(put, read):
    good = json.dumps({"question": "Which?", "image": "a.png"})
    bad = [
        '{"question": "torn',
        "[1]",
        '{"question": 7, "image": "a.png"}',
        '{"question": "x", "image": 3}',
    ]
    odd = json.dumps({"question": "x", "image": "a.png", "task": "Chat"})
    put("mine.jsonl", "\n".join([good, *bad, odd, "", good]) + "\n")
    questions, rejected = read("mine", kind="jsonl", file="mine.jsonl")
    assert [question.question_id for question in questions] == ["mine/0", "mine/6"]
    assert [item.place for item in rejected] == [
        f"mine.jsonl line {number}" for number in (2, 3, 4, 5, 6)
    ]
    assert [item.detail for item in rejected][1:] == [
        "is no object",
        "question is no text",
        "image is neither a path nor the bytes of an image",
        "task 'Chat' is none of QA, Detail",
    ]


def test_parquet_with_image_bytes(read, tmp_path):
    content = png()
    rows = [{"question": "Which?", "image": content}, {"question": "Which?", "image": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mine.parquet")
    (question,), (rejected,) = read("mine", kind="parquet", file="mine.parquet")
    assert (
        question.image == content
        and question.image_id == f"mine/{hashlib.sha256(content).hexdigest()}"
    )
    assert rejected.place == "mine.parquet row 1"


def test_hugging_face_folder_keeps_images_encoded(read, tmp_path):
    content = png(9)
    rows = {
        "question": ["Which?"],
        "image": [{"bytes": content, "path": None}],
        "answers": [["nine"]],
    }
    features = hf.Features(
        {
            "question": hf.Value("string"),
            "image": hf.Image(),
            "answers": hf.List(hf.Value("string")),
        }
    )
    hf.DatasetDict({"validation": hf.Dataset.from_dict(rows, features)}).save_to_disk(str(tmp_path))
    (question,), rejected = read("mine", kind="huggingface", split="validation")
    assert not rejected
    assert (question.image, question.ground_truth, question.answers) == (content, "nine", ("nine",))
    with pytest.raises(UserError, match="no Hugging Face dataset at .*, split test"):
        read("mine", kind="huggingface", split="test")


def test_a_record_may_bring_its_own_tag_and_task(put, read):
    lines = [
        {"question": "a", "image": "a.png", "origin": "COCO", "kind": "Detail"},
        {"question": "b", "image": "b.png", "origin": "birds", "kind": "QA"},
        {"question": "c", "image": "c.png", "origin": None},
        {"question": "d", "image": "d.png", "origin": " "},
    ]
    put("mine.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    options = {"kind": "jsonl", "file": "mine.jsonl"}
    questions, rejected = read("mine", **options, fields={"dataset": "origin", "task": "kind"})
    assert [(q.question_id, q.dataset, q.task, q.image_id) for q in questions] == [
        ("COCO/0", "COCO", "Detail", "coco/a.png"),
        ("birds/1", "birds", "QA", "birds/b.png"),
        ("mine/2", "mine", "QA", "mine/c.png"),
    ]
    assert [(item.place, item.detail) for item in rejected] == [
        ("mine.jsonl line 4", "origin is empty")
    ]
    # Without fields a column of that name is just another column.
    assert {q.dataset for q in read("mine", **options)[0]} == {"mine"}


def test_shards_are_read_in_the_order_of_their_names_and_numbered_through(read, tmp_path):
    (tmp_path / "[data]").mkdir()
    for shard in (1, 0):
        rows = [{"question": f"{shard}-{i}", "image": "a.png"} for i in range(2)]
        table = pa.Table.from_pylist([*rows, {"question": "", "image": "a.png"}])
        pq.write_table(table, tmp_path / "[data]" / f"train-{shard}.parquet")
    options = {"root": str(tmp_path / "[data]"), "kind": "parquet", "file": "train-*.parquet"}
    questions, rejected = read("mine", **options)
    assert [(q.question_id, q.question) for q in questions] == [
        ("mine/0", "0-0"),
        ("mine/1", "0-1"),
        ("mine/3", "1-0"),
        ("mine/4", "1-1"),
    ]
    assert [item.place for item in rejected] == ["train-0.parquet row 2", "train-1.parquet row 2"]


HUB = [{"answer": a, "answer_confidence": "yes", "answer_id": i} for i, a in enumerate("xyy")]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (HUB, ("x", "y", "y")),
        ({"answer": ["x", "y", "y"], "answer_id": [0, 1, 2]}, ("x", "y", "y")),  # by columns
        ([{"answer": "car", "raw_answer": "cars"}], ("cars",)),
        (3, ("3",)),
        ([2.0, 2.5], ("2", "2.5")),
        (0, ("0",)),
        ("y", ("y",)),
        ([], ()),
        (None, ()),
    ],
)
def test_answers_in_the_shapes_of_the_hub(put, read, answers, expected):
    put("mine.jsonl", json.dumps({"question": "a", "image": "a.png", "answers": answers}))
    (question,), rejected = read("mine", kind="jsonl", file="mine.jsonl")
    assert not rejected and question.answers == expected


@pytest.mark.parametrize("answers", [[{"text": "x"}], [["x"]], [None], {"text": "x"}])
def test_answers_in_no_known_shape_are_refused(put, read, answers):
    put("mine.jsonl", json.dumps({"question": "a", "image": "a.png", "answers": answers}))
    questions, (rejected,) = read("mine", kind="jsonl", file="mine.jsonl")
    assert not questions and rejected.detail == (
        "answers holds something that is no answer: give texts or numbers"
    )


@pytest.mark.parametrize(
    ("name", "record", "image_id"),
    [
        # The publishers' adapters have coco/262148 for VQAv2's COCO_val2014_000000262148.jpg.
        ("mine", {"image": "val2014/COCO_val2014_000000262148.jpg"}, "coco/262148"),
        ("VQAv2", {"image": "000000262148.jpg"}, "coco/262148"),
        ("VQAv2", {"image": "a.jpg", "image_id": 262148}, "coco/262148"),
        ("VQAv2", {"image": "a.jpg", "image_id": "262148"}, "coco/262148"),
        ("OK-VQA", {"image": "a.jpg", "image_id": "COCO_val2014_000000262148"}, "coco/262148"),
        (
            "TextVQA",
            {"image": "a.jpg", "image_id": "003a8ae2ef43b901"},
            "openimages/003a8ae2ef43b901",
        ),
        ("mine", {"image": "000000262148.jpg"}, "mine/000000262148.jpg"),  # who knows whose
        ("mine", {"image": "a.jpg", "image_id": 262148}, "mine/262148"),
    ],
)  # fmt: skip
def test_an_image_has_the_id_that_its_publisher_s_files_give_it(put, read, name, record, image_id):
    put("mine.jsonl", json.dumps({"question": "a"} | record))
    (question,), _ = read(name, kind="jsonl", file="mine.jsonl")
    assert question.image_id == image_id
    if name == "mine" and "COCO_" not in record["image"]:
        (question,), _ = read(name, kind="jsonl", file="mine.jsonl", collection="coco")
        assert question.image_id == "coco/262148"


@pytest.mark.parametrize(
    ("image", "detail"),
    [
        ("https://images.example/a.jpg", "image is a URL"),
        ("file:///data/a.jpg", "image is a URL"),
        ({"bytes": None, "path": "https://images.example/a.jpg"}, "image is a URL"),
        (["a.png", "b.png"], "image holds 2 images instead of one"),
        ([], "image holds 0 images instead of one"),
    ],
)
def test_an_image_that_is_a_url_or_several_is_refused_with_a_word(put, read, image, detail):
    put("mine.jsonl", json.dumps({"question": "a", "image": image}))
    questions, (rejected,) = read("mine", kind="jsonl", file="mine.jsonl")
    assert not questions and rejected.detail.startswith(detail)


def test_hugging_face_lists_of_one_image_stay_encoded(read, tmp_path):
    content = png(9)
    rows = {
        "question": ["Which?"],
        "images": [[{"bytes": content, "path": "COCO_val2014_000000000009.jpg"}]],
    }
    features = hf.Features({"question": hf.Value("string"), "images": hf.List(hf.Image())})
    hf.Dataset.from_dict(rows, features).save_to_disk(str(tmp_path))
    (question,), _ = read("mine", kind="huggingface", fields={"image": "images"})
    assert (question.image, question.image_id) == (content, "coco/9")


@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize(
    "out", ["http://127.0.0.1:PORT/a.jsonl", "../outside.jsonl", "FOLDER/../outside.jsonl"]
)
def test_a_hugging_face_folder_fetches_nothing_and_stays_in_itself(put, read, tmp_path, card, out):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path.parent / "outside.jsonl").write_text('{"question": "theirs"}\n')
    out = out.replace("PORT", str(server.server_port)).replace("FOLDER", str(tmp_path))
    text = f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: '{out}'\n"
    put("data.jsonl", '{"question": "own"}\n')
    put(card, f"---\n{text}---\n" if card == "README.md" else text)
    with pytest.raises(UserError, match="is not in the folder"):
        read("mine", kind="huggingface")
    server.shutdown()
    server.server_close()
    assert asked == []


def test_a_hugging_face_folder_is_read_as_its_readme_says(put, read):
    files = "configs:\n- config_name: default\n  data_files: 'b*.jsonl'\n"
    put("a.jsonl", json.dumps({"question": "first?", "image": "a.png"}))
    put("b.jsonl", json.dumps({"question": "second?", "image": "a.png"}))
    put("README.md", f"---\n{files}---\nTexts.")
    questions, rejected = read("mine", kind="huggingface")
    assert [q.question for q in questions] + [r.detail for r in rejected] == ["second?"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "jsonl", "file": "none.jsonl"}, "no file .*none.jsonl: correct root and file"),
        (
            {"kind": "jsonl", "file": "a", "task": "Chat"},
            "task must be one of QA, Detail, got 'Chat'",
        ),
        (
            {"kind": "jsonl", "file": "a", "fields": {"prompt": "q"}},
            "fields maps 'prompt', which is none of",
        ),
        ({"kind": "parquet", "file": "a"}, "a is not a readable parquet file"),
        ({"kind": "huggingface"}, "no Hugging Face dataset at"),
    ],
)
def test_bad_options_are_named(put, read, options, message):
    put("a", "{}")
    with pytest.raises(UserError, match=message):
        read("mine", **options)


def test_pocket_reads_what_the_generator_writes(read, tmp_path):
    from data_prep.pocket import data

    data.write(tmp_path, seed=0, counts={"rl_train": 20, "test": 5, "sft_questions": 5})
    questions, rejected = read("pocket")
    assert not rejected and len(questions) == 20
    rows = pq.read_table(tmp_path / "rl_train.parquet").to_pylist()
    for question, row in zip(questions, rows, strict=True):
        info = row["extra_info"]
        assert question == SourceQuestion(
            info["question_id"],
            row["data_source"],
            info["task"],
            info["question"],
            info["image_id"],
            row["images"][0]["bytes"],
            row["reward_model"]["ground_truth"],
        )
    emblems, _ = read("pocket-emblem", kind="pocket", file="test.parquet")
    assert [question.dataset for question in emblems] == ["pocket-emblem"]  # one of five
    with pytest.raises(
        UserError, match="holds no questions of pocket-x: it has pocket-blur, pocket-digit"
    ):
        read("pocket-x", kind="pocket")
    with pytest.raises(
        UserError, match="no questions at .*: make them with `python -m data_prep.pocket data"
    ):
        read("pocket", file="dev.parquet")
