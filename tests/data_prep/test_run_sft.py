"""The end of the pipeline: verl's files hold each question once,
with what the steps before have found out.
"""

import pytest
import scripted

from data_prep.pipeline.config import load_config
from data_prep.pipeline.runner import run_steps
from data_prep.pipeline.step_table import STEPS
from data_prep.steps.parquet import QUESTION_FILES
from data_prep.verl_rows import load_questions
from reward_fns.files import read_jsonl


@pytest.fixture(scope="module")
def run(tiny_encoder):
    """Run the whole pipeline over 120 scripted questions in a folder;
    returns the run's directory.
    """

    def run(folder, **sections):
        dataset = scripted.write_dataset(folder / "places", 120)
        sections = {
            "pair": {"encoder": str(tiny_encoder)},
            "splits": {"train": 4, "sft": 12},
            **sections,
        }
        config = load_config(scripted.write_config(folder / "config.yaml", [dataset], **sections))
        run_steps(config, folder / "run", list(STEPS))
        return folder / "run"

    return run


def rows(path):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


def test_every_question_stands_in_the_file_of_its_split(whole):
    splits = {
        record["question_id"]: record["split"] for record in read_jsonl(whole / "splits.jsonl")
    }
    for split, name in QUESTION_FILES.items():
        expected = [question_id for question_id, given in splits.items() if given == split]
        assert [question.question_id for question in load_questions(whole / name)] == expected
    expected = [question_id for question_id, given in splits.items() if given == "sft"]
    assert len(expected) >= 12
    assert [row["question_id"] for row in rows(whole / "sft.parquet")] == expected
    assert [row["question_id"] for row in rows(whole / "r_tuning.parquet")] == expected


def test_rows_carry_what_stage_one_measured(whole):
    difficulty = {
        record["question_id"]: record for record in read_jsonl(whole / "difficulty.jsonl")
    }
    subsets = {
        record["question_id"]: record["subset"] for record in read_jsonl(whole / "splits.jsonl")
    }
    for question in load_questions(whole / "test.parquet"):
        measured = difficulty[question.question_id]
        assert (
            question.share_true == measured["share_true"]
            and question.vote_margin == measured["vote_margin"]
        )
        assert question.subset == subsets[question.question_id]


def test_images_by_reference_are_the_same_questions(run, whole, tmp_path):
    referring = run(tmp_path, parquet={"images": "reference"})
    for name in ("rl_train.parquet", "test.parquet"):
        assert load_questions(referring / name) == load_questions(whole / name)
        assert (referring / name).stat().st_size < (whole / name).stat().st_size
