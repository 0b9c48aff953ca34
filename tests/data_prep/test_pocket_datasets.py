"""Drawing, pools, truth and files of the pocket benchmark."""

import asyncio
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep.pocket import corpus, data, datasets, draw, emblems
from reward_fns import claims
from reward_fns.expert import AnswerRequest
from reward_fns.expert.oracle import OracleExpert

COUNTS = {"rl_train": 25, "test": 20, "sft_questions": 10}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("pocket")
    return out, data.write(out, seed=3, counts=COUNTS)


def judged(said, things, task):
    request = AnswerRequest("?", task, said, " ".join(said), data.ground_truth(things, task))
    return asyncio.run(OracleExpert().ask(request))


def test_pools_are_disjoint_by_image_and_use_all_five_thousand():
    indices = np.concatenate([draw.pool(name).indices for name in draw.POOL_SIZES])
    assert len(indices) == len(set(indices.tolist())) == 5000


def test_pools_are_disjoint_by_content():
    contents = [{image.tobytes() for image in draw.pool(name).images} for name in draw.POOL_SIZES]
    assert len(set().union(*contents)) == sum(map(len, contents))


def test_an_unknown_pool_is_named():
    with pytest.raises(KeyError, match="validation"):
        draw.pool("validation")


def test_emblems_differ_pairwise():
    glyphs = emblems.glyphs()
    gaps = np.abs(glyphs[:, None] - glyphs[None]).mean((2, 3)) + np.eye(len(glyphs))
    assert gaps.min() > 0.01


def test_names_follow_the_zipf_law():
    # counts of 40,000 draws: log count falls by `exponent` for each unit of log rank
    rng = np.random.default_rng(0)
    for exponent in (emblems.BASE_EXPONENT, emblems.QUESTION_EXPONENT):
        ranks = rng.choice(40, 40_000, p=emblems.probabilities(exponent))
        counts = np.bincount(ranks, minlength=40)
        slope = np.polyfit(np.log(np.arange(1, 41)), np.log(counts), 1)[0]
        assert slope == pytest.approx(-exponent, abs=0.08)


def test_training_draws_obey_the_zipf_law_of_the_base():
    rng = np.random.default_rng(0)
    drawn = datasets.draw_batch("pocket-emblem", "base", 3000, rng, emblems.BASE_EXPONENT)
    share = np.mean([things[0].value == 0 for things in drawn.things])
    assert share == pytest.approx(emblems.probabilities(emblems.BASE_EXPONENT)[0], abs=0.04)


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_the_facts_as_claims_are_wholly_true(name):
    rng = np.random.default_rng(1)
    task = datasets.DATASETS[name].task
    for things in datasets.draw_batch(name, "test", 20, rng).things:
        text = corpus.claims_answer(things, task, rng)
        parsed = claims.parse_response(text)
        assert parsed.well_formed
        said = tuple(claim.text for claim in parsed.claims)
        verdict = judged(said, things, task)
        assert verdict.overall == 1.0
        assert set(verdict.claim_labels) == {1}


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_an_altered_answer_is_not_wholly_true(name):
    rng = np.random.default_rng(2)
    task = datasets.DATASETS[name].task
    for things in datasets.draw_batch(name, "test", 60, rng).things:
        wrong = corpus.altered(things, task, rng)
        said = datasets.sentences(wrong, task)
        verdict = judged(said, things, task)
        assert verdict.overall < 1.0


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_strength_grades_the_images_of_one_dataset(name):
    strength = datasets.draw_batch(name, "test", 300, np.random.default_rng(0)).strength
    low, high = np.quantile(strength, (0.1, 0.9))
    assert low < 0.35 and high - low > 0.4


def test_every_kind_of_prompt_is_written_for_every_dataset():
    rng = np.random.default_rng(0)
    for name in datasets.DATASETS:
        for kind in corpus.KINDS:
            batch = corpus.examples(name, kind, 3, rng)
            assert len(batch.prompts) == len(batch.answers) == len(batch.images) == 3
            assert all(batch.prompts) and all(batch.answers)


def test_tags_and_confidence_carry_no_information():
    rng = np.random.default_rng(0)
    parsed = [
        claims.parse_response(text)
        for text in corpus.examples("pocket-digit", "claims", 2000, rng).answers
    ]
    confidence = np.array([answer.confidence for answer in parsed])
    sure = np.array([answer.claims[0].sure for answer in parsed])
    assert sure.mean() == pytest.approx(corpus.SURE_SHARE, abs=0.04)
    assert confidence.mean() == pytest.approx(0.5, abs=0.03)
    assert np.corrcoef(sure, confidence)[0, 1] == pytest.approx(0, abs=0.08)


def test_the_files_have_the_rl_schema(written):
    out, manifest = written
    for file, n in COUNTS.items():
        rows = pq.read_table(out / f"{file}.parquet").to_pylist()
        assert len(rows) == n
        assert {row["data_source"] for row in rows} == set(datasets.DATASETS)
        for row in rows:
            info = row["extra_info"]
            assert row["prompt"] == [
                {"role": "user", "content": f"<image>\n{claims.claim_prompt(info['question'])}"}
            ]
            assert (
                row["ability"]
                == info["task"]
                == json.loads(row["reward_model"]["ground_truth"])["task"]
            )
            assert row["reward_model"]["style"] == "rule"
            assert row["images"][0]["bytes"].startswith(b"\x89PNG")
            assert info["split"] == ("test" if file == "test" else "train")
            assert isinstance(info["index"], int) and isinstance(info["entity"], str)
    assert set(manifest["sha256"]) == {"rl_train.parquet", "test.parquet", "sft_questions.parquet"}
    assert not list(out.glob("*.partial"))


def test_question_ids_are_unique_over_the_files(written):
    out, _ = written
    rows = [row for file in COUNTS for row in pq.read_table(out / f"{file}.parquet").to_pylist()]
    assert len({row["extra_info"]["question_id"] for row in rows}) == len(rows)
    assert len({row["images"][0]["bytes"] for row in rows}) == len(rows)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(written, tmp_path):
    _, manifest = written
    assert data.write(tmp_path / "same", seed=3, counts=COUNTS)["sha256"] == manifest["sha256"]
    other = data.write(tmp_path / "other", seed=4, counts=COUNTS)["sha256"]
    assert all(
        other[file] != manifest["sha256"][file] for file in ("rl_train.parquet", "test.parquet")
    )


def test_too_few_questions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rl_train"):
        data.write(tmp_path, seed=0, counts={"rl_train": 2, "test": 10, "sft_questions": 10})
