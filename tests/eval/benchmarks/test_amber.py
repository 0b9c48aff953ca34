"""AMBER by hand, and over its real annotations by a second way."""

import json
import random
from pathlib import Path

import pytest

from eval.benchmarks import amber
from eval.benchmarks.extraction import nouns

REAL = Path(__file__).parents[4] / "shared" / "data" / "amber"


def write_amber(directory, extra=()):
    annotations = [
        {"id": 1, "type": "generative", "truth": ["forest", "person"], "hallu": ["dog"]},
        {"id": 2, "type": "generative", "truth": ["sky"], "hallu": ["cloud"]},
        {"id": 3, "type": "discriminative-hallucination", "truth": "no"},
        {"id": 4, "type": "discriminative-attribute-state", "truth": "yes"},
        {"id": 5, "type": "relation", "truth": "no"},
        {"id": 6, "type": "discriminative-relation", "truth": "yes"},
        *extra,
    ]
    relations = {"forest": ["tree"], "person": ["man"], "dog": [], "sky": [], "cloud": []}
    (directory / "annotations.json").write_text(json.dumps(annotations))
    (directory / "relation.json").write_text(json.dumps(relations | {"light": []}))
    (directory / "safe_words.txt").write_text("light\nsign")
    return amber.read_amber(directory)


def test_generative_scores(tmp_path):
    benchmark = write_amber(tmp_path)
    found = amber.score_generative(
        benchmark,
        {
            # tree covers forest, dog is a likely hallucination, cloud another: 2 of 3; tells 1 of 2
            "1": "A tree, a dog and a cloud in the light.",
            "2": "The sky.",  # 0 of 1; tells 1 of 1
        },
    )
    assert found.chair.value == 2 / 4
    assert found.cover.value == 2 / 3
    assert found.hal.value == 1 / 2
    assert found.cog.value == 1 / 4  # the dog


def test_both_spellings_of_relation_are_one_kind_and_no_is_positive(tmp_path):
    benchmark = write_amber(tmp_path)
    found = amber.score_questions(benchmark, {"3": "No", "4": "No", "5": "Yes", "6": "Yes"})
    assert list(found) == ["existence", "attribute", "relation", "all"]
    assert found["relation"].accuracy.value == 1 / 2
    assert found["all"].precision.value == 1 / 2  # "no" to 3 and 4, right for 3
    assert found["all"].recall.value == 1 / 2  # of 3 and 5, 3 was denied


def test_an_unknown_type_is_named(tmp_path):
    write_amber(tmp_path, [{"id": 9, "type": "x"}])
    left_out = []
    assert "9" not in [one.item_id for one in amber.read_amber(tmp_path, left_out).annotations]
    (said,) = left_out
    assert "annotation 9 has the unknown type 'x'" in said


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/amber")
def test_fabricated_answers_over_the_real_annotations_two_ways():
    benchmark = amber.read_amber(REAL)
    annotations = json.loads((REAL / "annotations.json").read_text())
    relations = json.loads((REAL / "relation.json").read_text())
    safe = (REAL / "safe_words.txt").read_text().split()
    draw = random.Random(0)
    truth = {str(one["id"]): one for one in annotations if one["type"] == "generative"}
    items = draw.sample(sorted(truth), 80)
    words = sorted(relations)
    responses = {
        item: " ".join(
            f"There is a {word}."
            for word in draw.sample(truth[item]["truth"], 1) + draw.sample(words, 3)
        )
        for item in items
    }
    found = amber.score_generative(benchmark, responses)

    # the second way: word by word, as the publisher's loop goes
    said = wrong = told = annotated = guessed = 0
    for item, of_answer in zip(items, nouns(list(responses.values())), strict=True):
        covered = set()
        for word in of_answer:
            known = any(word == key or word in others for key, others in relations.items())
            if not known or word in safe:
                continue
            said += 1
            by = [a for a in truth[item]["truth"] if word == a or word in relations.get(a, [])]
            covered.update(by)
            if not by:
                wrong += 1
                likely = truth[item]["hallu"]
                guessed += any(word == h or word in relations.get(h, []) for h in likely)
        told += len(covered)
        annotated += len(set(truth[item]["truth"]))
    assert said > 200 and 0 < wrong < said and guessed > 0
    assert found.chair.value == wrong / said
    assert found.cover.value == told / annotated
    assert found.cog.value == guessed / said


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/amber")
def test_all_real_questions_are_read_and_answered_by_their_truth_score_one():
    benchmark = amber.read_amber(REAL)
    truth = {one.item_id: one.truth for one in benchmark.annotations if one.truth}
    assert len(truth) == 15220 - 1004
    found = amber.score_questions(benchmark, truth)
    assert {kind: scores.f1.value for kind, scores in found.items()} == dict.fromkeys(
        ("attribute", "existence", "relation", "all"), 1
    )
