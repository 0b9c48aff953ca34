"""Shifted test sets: each differs from the test file by its one change, and its truth holds."""

import json

import numpy as np
import pytest

from data_prep.pocket import data, datasets, draw, emblems, shifted
from data_prep.verl_rows import load_questions
from reward_fns.claims import claim_prompt


def test_the_sets_are_files_that_the_evaluation_reads(tmp_path):
    shifted.write(tmp_path, seed=3, n=12)
    for name in shifted.SHIFTS:
        questions = load_questions(tmp_path / f"{name}.parquet")
        assert len(questions) == 12
        assert {question.dataset for question in questions} == set(datasets.DATASETS)


def test_seeds_and_sets_share_no_question():
    rows = [
        row["extra_info"]["question_id"]
        for shift in shifted.SHIFTS
        for seed in (0, 1)
        for row in shifted.rows(shift, "pocket-digit", 3, seed)
    ]
    assert len(set(rows)) == len(rows)


def test_too_few_questions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 5"):
        shifted.write(tmp_path, seed=0, n=4)


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_degraded_images_are_harder(name):
    def strength_of(dataset):
        rng = np.random.default_rng(0)
        return datasets.draw_things(dataset, draw.pool("test"), 300, rng, 0.4).strength.mean()

    dataset = datasets.DATASETS[name]
    assert strength_of(shifted.SHIFTS["degraded"].dataset(dataset)) > strength_of(dataset) + 0.1


def test_printed_digits_are_whole_different_and_not_of_mnist():
    printed = draw.printed()
    assert sorted(set(printed.labels.tolist())) == list(range(10))
    assert printed.images.min() == 0 and printed.images.max() > 0.9
    assert not printed.images[:, [0, -1]].any() and not printed.images[:, :, [0, -1]].any()
    of_one_size = printed.images[4::9]
    gaps = np.abs(of_one_size[:, None] - of_one_size[None]).mean((2, 3)) + np.eye(10)
    assert gaps.min() > 0.01
    handwritten = {image.tobytes() for image in draw.pool("test").images}
    assert not handwritten & {image.tobytes() for image in printed.images}


def test_rare_emblems_are_asked_for_most():
    facts = [
        json.loads(row["reward_model"]["ground_truth"])["facts"][0]
        for row in shifted.rows("rare", "pocket-emblem", 300, seed=0)
    ]
    rarest = np.mean([any(f"of {name}." in fact for name in emblems.NAMES[30:]) for fact in facts])
    expected = emblems.probabilities(-emblems.BASE_EXPONENT)[30:].sum()
    assert rarest == pytest.approx(expected, abs=0.08)
    assert expected > 0.4


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_wordings_were_never_trained(name):
    trained = {question for dataset in datasets.DATASETS.values() for question in dataset.questions}
    for row in shifted.rows("wording", name, 20, seed=0):
        question = row["extra_info"]["question"]
        assert question not in trained
        assert row["prompt"][0]["content"] == f"<image>\n{claim_prompt(question)}"


def test_what_is_not_shifted_is_drawn_as_before():
    # The wordings alone change: the same stream would give the same images and truths.
    dataset = shifted.SHIFTS["wording"].dataset(datasets.DATASETS["pocket-scene"])
    rng = np.random.default_rng(7)
    drawn = datasets.draw_things(dataset, draw.pool("test"), 5, rng, emblems.QUESTION_EXPONENT)
    before = datasets.draw_batch("pocket-scene", "test", 5, np.random.default_rng(7))
    assert (drawn.images == before.images).all() and drawn.things == before.things
    assert data.ground_truth(drawn.things[0], "Detail") == data.ground_truth(
        before.things[0], "Detail"
    )
