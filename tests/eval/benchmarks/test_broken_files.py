"""A benchmark's record is a record: a broken one is named and counted, the others are asked."""

import base64
import io
import json
import os

import pytest
from PIL import Image

from eval.benchmarks.items import find_image
from eval.benchmarks.loading import load
from eval.benchmarks.tables import table3
from reward_fns.errors import UserError
from reward_fns.markup import literal


def jpeg(colour="red"):
    content = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(content, "JPEG")
    return content.getvalue()


WHOLE = jpeg()
TORN = WHOLE[: len(WHOLE) // 2]
"""Its header is whole: that it ends early is seen by who reads every pixel."""


def objhal(out, *lines):
    """Object HalBench with one good question, and these lines before it."""
    good = {"org_idx": 0, "image_id": "1", "question": "Describe it."}
    good["image"] = base64.b64encode(WHOLE).decode()
    whole = [
        line if isinstance(line, bytes) else json.dumps(good | line).encode() for line in lines
    ]
    out.mkdir(exist_ok=True)
    (out / "questions.jsonl").write_bytes(b"\n".join([*whole, json.dumps(good).encode()]))
    (out / "truth.json").write_text(json.dumps({"1": ["dog"]}))
    (out / "vocabulary.json").write_text(json.dumps({"objects": {"dog": ["puppy"]}}))
    return out


BROKEN = {
    "torn": (b'{"org_idx": 5, "image', "is not JSON"),
    "deep": (b'{"a":' * 20_000, "is not JSON"),
    "no UTF-8": (b'{"question": "\xff\xfe"}', "is not JSON"),
    "no object": (b"7", "is no JSON object"),
    "without a question": ({"question": None}, "lacks 'question'"),
    "half a surrogate": ({"question": "a\ud800"}, "not valid Unicode"),
    "a mark": ({"question": "<image> and <video>?"}, "a mark that stands for an image"),
    "a torn image": ({"image": base64.b64encode(TORN).decode()}, "its image cannot be read"),
    "no base64": ({"image": "ü"}, "its image cannot be read"),
    "no image": ({"image": base64.b64encode(b"<html>").decode()}, "its image cannot be read"),
}


@pytest.mark.parametrize(("line", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_record_is_named_and_the_others_are_asked(tmp_path, line, why):
    if isinstance(line, dict):
        line = {"org_idx": 7} | line
    found = load("objhal", objhal(tmp_path / "objhal", line))
    assert [item.item_id for item in found.items] == ["0"]
    (said,) = found.left_out
    assert f"{tmp_path / 'objhal' / 'questions.jsonl'} record 0" in said and why in said


def test_other_line_breaks_than_the_newline_end_no_record(tmp_path):
    odd = {"org_idx": 7, "question": "a\u2028b\x85c\x0bd"}
    out = objhal(tmp_path / "objhal")
    good = json.loads((out / "questions.jsonl").read_text())
    text = json.dumps(good | odd, ensure_ascii=False) + "\n" + json.dumps(good)
    (out / "questions.jsonl").write_text(text)
    found = load("objhal", out)
    assert [item.item_id for item in found.items] == ["7", "0"] and not found.left_out


def test_answers_are_kept_by_id_so_none_stands_twice(tmp_path):
    found = load("objhal", objhal(tmp_path / "objhal", {"question": "Another one?"}))
    assert [item.question for item in found.items] == ["Another one?"]
    assert found.left_out == ("question 0 stands twice: the second is left out",)


def test_where_all_are_broken_nothing_is_asked(tmp_path):
    out = objhal(tmp_path / "objhal")
    (out / "questions.jsonl").write_bytes(b'{"org')
    with pytest.raises(UserError, match="no record can be used: .* record 0: is not JSON"):
        load("objhal", out)


def mmhal(out, **changes):
    record = {"question_type": "other", "image_id": "i", "question": "?", "gt_answer": "."}
    (out / "images").mkdir(parents=True)
    (out / "images" / "i.jpg").write_bytes(WHOLE)
    (out / "template.json").write_text(json.dumps([record | changes, record]))
    return out


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image_content": 5}, "is malformed ('int' object is not iterable)"),
        ({"image_id": "pipe"}, "image pipe.jpg: it is no regular file"),
        ({"image_id": "../secret"}, "image '../secret.jpg' is no path under"),
        ({"image_id": "/etc/passwd"}, "image '/etc/passwd.jpg' is no path under"),
        ({"image_id": "a" * 300}, "File name too long"),
        ({"image_id": "a\0"}, "is no path under"),
        ({"image_id": "torn"}, "its image cannot be read"),
    ],
)
def test_an_image_s_name_leads_to_a_picture_in_its_folder_or_is_left_out(tmp_path, changes, why):
    out = mmhal(tmp_path / "mmhal", **changes)
    os.mkfifo(out / "images" / "pipe.jpg")  # opened, it would never begin
    (out / "secret.jpg").write_bytes(WHOLE)
    (out / "images" / "torn.jpg").write_bytes(TORN)
    found = load("mmhal", out)
    # By its place in the file, whatever was left out before: answers are kept by it.
    assert [item.item_id for item in found.items] == ["1"]
    (said,) = found.left_out
    assert "record 0" in said and why in said


def test_an_image_that_is_not_there_is_to_be_fetched(tmp_path):
    with pytest.raises(UserError, match="no image j.jpg or j.png in"):
        load("mmhal", mmhal(tmp_path / "mmhal", image_id="j"))


def test_two_files_of_one_sampling_would_share_their_answers(tmp_path):
    record = {"question_id": 1, "image": "a.jpg", "text": "A dog?", "label": "yes"}
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(WHOLE)
    (tmp_path / "coco_pope_random.json").write_text(json.dumps([record]))
    (tmp_path / "coco_pope_random.json.bak").write_text(json.dumps([record]))
    assert len(load("pope", tmp_path).items) == 1
    (tmp_path / "gqa_pope_random.json").write_text(json.dumps([record]))
    with pytest.raises(UserError, match="coco_pope_random.json and gqa_pope_random.json: .* same"):
        load("pope", tmp_path)


def amber(out, annotations, **files):
    (out / "image").mkdir(parents=True)
    (out / "image" / "1.jpg").write_bytes(WHOLE)
    content = {
        "annotations": annotations,
        "relation": {"dog": ["puppy"]},
        "query_generative": [{"id": i, "image": "1.jpg", "query": "Describe."} for i in (1, 2)],
    } | files
    for name, value in content.items():
        (out / f"{name}.json").write_text(json.dumps(value))
    (out / "safe_words.txt").write_bytes(b"light \xff")
    return out


GOOD = {"id": 1, "type": "generative", "truth": ["dog"], "hallu": []}


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"id": 2, "type": "generative", "hallu": []}, "lacks 'truth'"),
        ({"id": 2, "type": "generative", "truth": 5, "hallu": []}, "is malformed"),
        ({"id": 2, "type": "other", "truth": "no"}, "has the unknown type 'other'"),
    ],
)
def test_amber_goes_on_without_a_broken_annotation(tmp_path, broken, why):
    found = load("amber", amber(tmp_path / "amber", [GOOD, broken]))
    assert [item.item_id for item in found.items] == ["1"]
    annotation, query = found.left_out
    assert "annotations.json record 1" in annotation and why in annotation
    assert "query_generative.json record 1: annotations.json has no id 2" in query


def test_what_is_wrong_with_a_whole_file_is_one_line(tmp_path):
    wrong = amber(tmp_path / "amber", [GOOD], relation={"dog": 5})
    with pytest.raises(UserError, match="relation.json: 'dog' has no list of words"):
        load("amber", wrong)
    out = objhal(tmp_path / "objhal")
    (out / "truth.json").write_text(json.dumps({"1": 5}))
    with pytest.raises(UserError, match="truth.json: image 1 has no list of objects"):
        load("objhal", out)
    for content in (b"{" * 9, b'{"a": 1}', b"[]", b"\xff", b'{"a":' * 20_000):
        (out / "truth.json").unlink(missing_ok=True)
        (out / "instances_val.json").write_bytes(content)
        with pytest.raises(UserError, match="instances_val.json"):
            load("objhal", out)


def test_tables_count_what_is_left_out():
    table = table3({}, left_out={"objhal": ["<b>a"], "pope": ["b", "c"]})
    assert any("nobody was asked: 1 of objhal, 2 of pope;" in note for note in table.notes)
    assert not any("nobody was asked" in note for note in table3({}).notes)


def test_an_empty_name_is_the_folder_and_no_image(tmp_path):
    with pytest.raises(UserError, match="no image"):
        find_image([tmp_path], ["", "."], "x")
    assert literal("<b>") == "&lt;b>"
