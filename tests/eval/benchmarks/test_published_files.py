"""The publishers' files are read as they are."""

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from eval.benchmarks import mmhal, pope

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.skipif(not (DATA / "pope").is_dir(), reason="no ../shared/data/pope")
def test_pope_as_published():
    questions = pope.read_questions(DATA / "pope")
    assert Counter(one.sampling for one in questions) == dict.fromkeys(pope.SAMPLINGS, 3000)
    found = pope.score_pope(questions, {one.item.item_id: one.truth for one in questions})
    assert {name: scores.f1.value for name, scores in found.items()} == dict.fromkeys(
        (*pope.SAMPLINGS, "all"), 1
    )
    always = pope.score_pope(questions, {one.item.item_id: "Yes" for one in questions})
    # half of the questions are true: accuracy 1/2, precision 1/2, recall 1
    assert always["all"].accuracy.value == always["all"].precision.value == 1 / 2
    assert always["all"].f1.value == 2 / 3


@pytest.mark.skipif(not (DATA / "mmhal").is_dir(), reason="no ../shared/data/mmhal")
def test_mmhal_as_published(tmp_path):
    path = DATA / "mmhal" / "mmhal-bench_answer_template.json"
    for record in json.loads(path.read_text()):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{record['image_id']}.jpg")
    questions = mmhal.read_questions(path, tmp_path)
    assert len(questions) == 96
    assert Counter(one.question_type for one in questions) == dict.fromkeys(
        ("attribute", "adversarial", "comparison", "counting", "relation", "environment")
        + ("holistic", "other"),
        12,
    )
    assert questions[0].image_content == ("Fire hydrant",)
    assert questions[1].reference == "No one is sitting on the bench."
