"""The registry and what every dataset's configuration shares;
the streaming reader of JSON arrays.
"""

import json
import re
import struct
import tracemalloc
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import data_prep
from data_prep.datasets import DATASETS, common, open_dataset
from data_prep.pipeline.config import load_config
from data_prep.verl_rows import read_rows
from reward_fns.errors import UserError
from reward_fns.paper_tables import TABLES_1_AND_4


def lines(put, count):
    put(
        "mine.jsonl",
        "".join(json.dumps({"question": f"{i}?", "image": "a.png"}) + "\n" for i in range(count)),
    )


def ids(items):
    return [int(item.question_id.removeprefix("mine/")) for item in items]


def test_each_dataset_of_the_paper_has_an_adapter_under_its_tag():
    assert set(TABLES_1_AND_4) <= set(DATASETS)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "a dataset needs a name"),
        ({"name": "mine"}, "dataset mine: unknown kind 'mine'; there are OCR-VQA, "),
        ({"name": "COCO"}, "dataset COCO needs root"),
        (
            {"name": "COCO", "root": "x", "spilt": "val2017"},
            "unknown option 'spilt'; there are name, .*, split, images",
        ),
        ({"name": "mine", "kind": "jsonl", "root": "x"}, "dataset mine of kind jsonl needs file"),
        (
            {"name": "COCO", "root": "x", "limit": 0},
            "limit must be a whole number of at least 1, got 0",
        ),
        (
            {"name": "COCO", "root": "x", "sample": True},
            "sample must be a whole number of at least 1, got True",
        ),
        ({"name": "COCO", "root": "x", "sample": 1, "limit": 1}, "has both limit and sample"),
        (
            {"name": "COCO", "root": "https://images.example/coco"},
            r"root is a URL \(https://.*\): download the files, and give their path",
        ),
        ({"name": "COCO", "root": "x", "images": "file:///x"}, "images is a URL"),
        (
            {"name": "COCO", "root": "x", "use_for": "test"},
            "use_for is one of train, sft, selection, evaluation, got 'test'",
        ),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_is_read(config, message):
    with pytest.raises(UserError, match=message):
        open_dataset(config)


def test_limit_takes_the_first_readable_ones(put, read):
    put("mine.jsonl", '{"question": "a", "image": "a"}\n{}\n{"question": "b", "image": "b"}\n{}\n')
    questions, rejected = read("mine", kind="jsonl", file="mine.jsonl", limit=2)
    assert (ids(questions), len(rejected)) == ([0, 2], 1)  # reading stops at the second


def test_every_question_of_a_dataset_carries_the_side_that_its_entry_names(put, read):
    put("mine.jsonl", '{"question": "a", "image": "a"}\n{}\n{"question": "b", "image": "b"}\n')
    sides = {
        use_for: read("mine", kind="jsonl", file="mine.jsonl", use_for=use_for)[0]
        for use_for in (None, "sft")
    }
    assert {
        use_for: [question.use_for for question in found] for use_for, found in sides.items()
    } == {
        None: [None, None],
        "sft": ["sft", "sft"],
    }


def test_a_sample_is_drawn_by_id_and_seed_and_keeps_the_order_of_the_file(put, read):
    lines(put, 200)
    config = {"kind": "jsonl", "file": "mine.jsonl"}
    drawn = ids(read("mine", **config, sample=20)[0])
    assert len(drawn) == 20 and drawn == sorted(drawn) and drawn != list(range(20))
    assert ids(read("mine", **config, sample=20)[0]) == drawn
    assert ids(read("mine", **config, sample=20, seed=1)[0]) != drawn
    assert set(ids(read("mine", **config, sample=10)[0])) < set(
        drawn
    )  # a larger sample holds the smaller
    assert ids(read("mine", **config, sample=200)[0]) == list(range(200))
    lines(put, 15)
    with pytest.raises(UserError, match="mine has 15 questions, sample asks for 20: leave sample"):
        read("mine", **config, sample=20)


def test_a_sample_draws_every_question_about_equally_often(put, read):
    lines(put, 20)
    config = {"kind": "jsonl", "file": "mine.jsonl", "sample": 5}
    counts = Counter(i for seed in range(400) for i in ids(read("mine", **config, seed=seed)[0]))
    # Binomial(400, 1/4): mean 100, standard deviation 8.7; 20 counts within five deviations.
    assert len(counts) == 20 and all(57 <= count <= 143 for count in counts.values())


@pytest.mark.parametrize("chunk", [2, 3, 7, 11, 1 << 20])
def test_members_are_read_one_by_one_whatever_the_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(common, "_CHUNK", chunk)
    members = {"a": {"b": [1, "x}, {"]}, "é鳥": 12345, "": None, "c": "d", "e": {}}
    path = tmp_path / "a.json"
    for text in (
        json.dumps(members),
        json.dumps(members, indent=2, ensure_ascii=False).replace(":", " : "),
        " { } ",
        '{"a": 7}',
    ):
        path.write_text(text, encoding="utf-8")
        assert dict(common.read_members(path)) == json.loads(text)


def test_a_large_object_is_never_whole_in_memory(tmp_path):
    # 40 MB of members; the reader's buffers are a few chunks of 1 MiB,
    # in which text takes one byte a character.
    path = tmp_path / "large.json"
    with path.open("w", encoding="utf-8") as file:
        for index in range(20_000):
            file.write("{" if index == 0 else ", ")
            file.write(json.dumps(str(index)) + ": " + json.dumps({"text": "x" * 2000}))
        file.write("}")
    tracemalloc.start()
    try:
        assert sum(1 for _ in common.read_members(path)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1, "b": ', "is broken at item 1"),
        (b'{"a": 1, "b" 2}', "is broken at item 1"),
        (b'{"a": 1, 2: 3}', "is broken at item 1"),
        (b'{"a": 1]', "is broken at item 1"),
        (b"[1]", "holds no JSON object"),
    ],
)
def test_a_torn_or_foreign_object_is_an_error_that_names_the_item(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        dict(common.read_members(path))


@pytest.mark.parametrize("chunk", [2, 3, 7, 11, 1 << 20])
def test_an_array_is_read_item_by_item_whatever_the_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(common, "_CHUNK", chunk)
    items = [{"a": [1, "x], ["]}, "é鳥", 12345, -1.5e3, True, None, [], {}]
    path = tmp_path / "a.json"
    for text in (
        json.dumps(items),
        json.dumps(items, indent=2, ensure_ascii=False),
        " [ ] ",
        json.dumps([7]),
    ):
        path.write_text(text, encoding="utf-8")
        assert list(common.read_array(path)) == json.loads(text)


@pytest.mark.parametrize(
    ("content", "good", "message"),
    [
        (b'[{"a": 1}, {"a": 2}', 1, "is broken at item 1"),
        (b'[{"a": 1}, {"a": ', 1, "is broken at item 1"),
        (b'[{"a": 1} {"a": 2}]', 0, "is broken at item 0"),
        (b'[{"a": 1}, {"a" 2}, {"a": 3}]', 1, "is broken at item 1"),
        (b'{"a": 1}', 0, "holds no JSON array"),
        (b"", 0, "holds no JSON array"),
        (b'["\xff"]', 0, "is not UTF-8"),
        (b'[{"a": 1}, ' + b"[" * 20_000, 1, "is broken at item 1 .*recursion"),
        (b'[{"a": 1}, ' + b"9" * 5_000 + b"]", 1, "is broken at item 1 .*digits"),
    ],
)
def test_a_torn_or_foreign_array_is_an_error_that_names_the_item(tmp_path, content, good, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    items = common.read_array(path)
    assert [next(items) for _ in range(good)] == [{"a": 1}] * good
    with pytest.raises(UserError, match=message):
        next(items)


def test_a_text_of_a_parquet_that_is_no_utf_8_breaks_its_own_record_alone(tmp_path):
    ends = struct.pack("<4i", 0, 3, 5, 6)  # abc, two bytes that are no UTF-8, d
    data = [None, pyarrow.py_buffer(ends), pyarrow.py_buffer(b"abc\xff\xfed")]
    texts = pyarrow.Array.from_buffers(pyarrow.string(), 3, data)
    table = pyarrow.table({"question": texts, "n": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    rows = [row for _, row in common.parquet_rows([tmp_path / "a.parquet"])]
    assert [row["question"] for row in rows] == ["abc", None, "d"]
    assert [row["n"] for row in rows] == [1, 2, 3]
    with pytest.raises(UserError, match="a.parquet holds text that is no UTF-8"):
        list(read_rows(tmp_path / "a.parquet", ("question",)))


def test_a_nested_line_is_a_record_and_the_others_go_on(tmp_path):
    good = json.dumps({"question": "?", "image": "a.png", "answer": "b"}).encode()
    (tmp_path / "a.jsonl").write_bytes(b"[" * 20_000 + b"\n" + good + b"\n")
    options = {"name": "own", "kind": "jsonl", "root": str(tmp_path), "file": "a.jsonl"}
    broken, _ = open_dataset(options)
    assert (broken.place, broken.reason) == ("a.jsonl line 1", "malformed record")


@pytest.mark.parametrize(
    "path",
    sorted((Path(data_prep.__file__).parent / "configs").glob("*.yaml")),
    ids=lambda p: p.stem,
)
def test_the_datasets_of_every_shipped_configuration_are_accepted(path, monkeypatch):
    for name in re.findall(r"oc\.env:(\w+)", path.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "somewhere")
    for dataset in load_config(path).datasets:
        open_dataset(dataset)  # checks kind and options; reads nothing yet
