"""Pocket Object HalBench, MMHal-Bench and POPE hold the generator's truth."""

import json
from collections import Counter

import pytest

from data_prep.pocket import benchmarks, emblems, statements


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmarks")
    benchmarks.write(out, 0, 40)
    return out


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_objhal_has_the_objects_of_every_image(written):
    questions = lines(written / "objhal" / "questions.jsonl")
    truth = json.loads((written / "objhal" / "truth.json").read_text())
    known = json.loads((written / "objhal" / "vocabulary.json").read_text())["objects"]
    assert [line["image_id"] for line in questions] == list(truth)
    assert len(questions) == 40 and all(truth.values())
    assert {name for names in truth.values() for name in names} <= known.keys()


def test_mmhal_has_every_kind_and_its_reference_is_part_of_its_facts(written):
    records = json.loads((written / "mmhal" / "template.json").read_text())
    kinds = Counter(record["question_type"] for record in records)
    assert sum(kinds.values()) == 40 and min(kinds.values()) == 6 and len(kinds) == 6
    for record in records:
        assert (written / "mmhal" / "images" / f"{record['image_id']}.png").is_file()
        facts = {statements.read(fact) for fact in record["image_content"]}
        assert None not in facts and statements.read_all(record["gt_answer"]) <= facts


@pytest.mark.parametrize("sampling", benchmarks.SAMPLINGS)
def test_popes_false_statement_differs_in_the_thing_alone(written, sampling):
    questions = lines(written / "pope" / f"pocket_pope_{sampling}.json")
    assert [line["label"] for line in questions] == ["yes", "no"] * 40
    for true, false in zip(questions[::2], questions[1::2], strict=True):
        assert true["image"] == false["image"]
        one, other = (
            statements.read(line["text"].removeprefix("True or false? ")) for line in (true, false)
        )
        assert one.place == other.place and one.thing != other.thing
        if sampling == "adversarial" and one.emblem:
            ranks = [emblems.NAMES.index(statement.thing) for statement in (one, other)]
            assert ranks[1] in emblems.lookalikes(ranks[0])


def test_the_same_seed_writes_the_same_files_and_another_others(tmp_path, written):
    benchmarks.write(tmp_path / "same", 0, 40)
    benchmarks.write(tmp_path / "other", 1, 40)
    name = "objhal/questions.jsonl"
    assert (tmp_path / "same" / name).read_bytes() == (written / name).read_bytes()
    assert (tmp_path / "other" / name).read_bytes() != (written / name).read_bytes()


def test_too_few_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 6"):
        benchmarks.write(tmp_path, 0, 5)
