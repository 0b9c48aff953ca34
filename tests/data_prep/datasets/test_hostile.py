"""Whatever stands in a published file, an adapter yields questions and rejected records,
or names the file.
"""

import copy
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.datasets import open_dataset
from data_prep.questions import Rejected, SourceQuestion
from reward_fns.errors import UserError

TEN = [{"answer": "red", "answer_id": i} for i in range(10)]
FILES = {
    "VQAv2": {
        "v2_OpenEnded_mscoco_val2014_questions.json": {
            "questions": [{"image_id": 1, "question": "Which?", "question_id": 10}] * 2
        },
        "v2_mscoco_val2014_annotations.json": {
            "annotations": [{"question_id": 10, "image_id": 1, "answers": TEN}] * 2
        },
    },
    "TextVQA": {
        "TextVQA_0.5.1_val.json": {
            "data": [
                {"question": "Which?", "question_id": 1, "image_id": "a", "answers": ["x", "y"]}
            ]
            * 2
        }
    },
    "GQA": {
        "val_balanced_questions.json": {
            str(i): {"imageId": "1", "question": "?", "answer": "yes"} for i in range(2)
        },
        "image_data.json": [{"image_id": 1, "coco_id": 2}, {"image_id": 2, "coco_id": None}],
    },
    "OCR-VQA": {
        "dataset.json": {
            str(i): {
                "imageURL": "http://a/b.jpg",
                "questions": ["Who?"],
                "answers": ["x"],
                "split": 2,
            }
            for i in range(2)
        }
    },
    "LCS-558K": {
        "blip_laion_cc_sbu_558k.json": [
            {"id": "1", "image": "0/1.jpg", "conversations": [{"from": "gpt", "value": "a cat"}]}
        ]
        * 2
    },
    "COCO": {
        "captions_val2017.json": {
            "images": [{"id": 1, "file_name": "1.jpg"}] * 2,
            "annotations": [{"image_id": 1, "caption": "a cat"}] * 2,
        }
    },
    "MovieNet": {
        "annotation/tt1.json": {
            "scene": [{"shot": [0, 1], "place_tag": ["bar"], "action_tag": None}],
            "story": [{"shot": [0, 1], "description": "A man walks in."}],
        },
        "meta/tt1.json": {"title": "A film", "genres": ["Drama"]},
        "keyframes/tt1/shot_0000_img_1.jpg": {},
    },
}
JUNK = st.sampled_from(
    [None, "", 0, -1, 1.5, True, [], {}, [[]], [None], {"a": 1}, "junk", ["junk"], "\ud800"]
)


def places(value, path=()):
    """The paths to everything in a JSON value."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from places(item, (*path, key))


def spoiled(files, place, junk, drop):
    """The files with the value at a place replaced, or left out."""
    files = copy.deepcopy(files)
    *parents, last = place
    holder = files
    for key in parents:
        holder = holder[key]
    if drop:
        del holder[last]
    else:
        holder[last] = junk
    return files


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_value_in_any_place_is_a_question_a_rejection_or_a_clear_error(name, data):
    place = data.draw(st.sampled_from([path for path in places(FILES[name]) if len(path) > 1]))
    files = spoiled(FILES[name], place, data.draw(JUNK), data.draw(st.booleans()))
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            path = Path(folder) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf-8")
        try:
            items = list(open_dataset({"name": name, "root": folder}))
        except UserError as error:
            assert str(error).count("\n") == 0 and folder in str(error)
        else:
            assert all(isinstance(item, SourceQuestion | Rejected) for item in items)
            assert all(isinstance(item, Rejected) or isinstance(item.image, Path) for item in items)


@pytest.mark.parametrize("name", FILES)
def test_the_miniatures_are_whole(name, tmp_path):
    for file, content in FILES[name].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(json.dumps(content), encoding="utf-8")
    items = list(open_dataset({"name": name, "root": str(tmp_path)}))
    assert items and all(isinstance(item, SourceQuestion) for item in items)
