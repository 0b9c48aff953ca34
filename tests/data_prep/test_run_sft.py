"""The end of the pipeline: verl's files hold each question once,
with what the steps before have found out.
"""

import math
from collections import Counter
from statistics import fmean, pstdev

import pytest
import scripted

from data_prep.pipeline.config import load_config
from data_prep.pipeline.runner import run_steps
from data_prep.pipeline.step_table import STEPS
from data_prep.steps.parquet import QUESTION_FILES
from data_prep.verl_rows import load_questions
from reward_fns.files import read_jsonl
from reward_fns.reward import DifficultyReward


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
        found = [row["extra_info"]["question_id"] for row in rows(whole / name)]
        assert found == expected
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


def test_the_reward_by_question_takes_the_run_s_own_files(whole):
    """Votes and entities by hand, through file and rows, to the coefficients of each question."""
    margins, names = {}, {}
    for record in read_jsonl(whole / "votes.jsonl"):
        voted = [
            (vote["count"], abs(2 * vote["true_votes"] - vote["votes"]) / vote["votes"])
            for vote in record["votes"]
            if vote["votes"]
        ]
        total = sum(count for count, _ in voted)
        margins[record["question_id"]] = sum(count * own for count, own in voted) / total
    for record in read_jsonl(whole / "entities.jsonl"):
        names[record["question_id"]] = record["entities"]
    times = Counter(name for found in names.values() for name in found)
    rarities = {
        key: sum(times[name] for name in found) / len(found)
        for key, found in names.items()
        if found
    }
    logs = {key: math.log(rarity) for key, rarity in rarities.items()}
    m, sd_m = fmean(margins.values()), pstdev(margins.values())
    r, sd_r = fmean(logs.values()), pstdev(logs.values())
    assert sd_m > 0 and sd_r > 0 and len(logs) < len(margins)

    file = whole / "coefficients.yaml"
    reward = DifficultyReward("oracle", coefficients=file, difficulty="question")
    own = reward.coefficients_of("places")
    deltas = set()
    for row in rows(whole / "rl_train.parquet") + rows(whole / "test.parquet"):
        key = row["extra_info"]["question_id"]
        h = (m - margins[key]) / sd_m
        z = (r - logs[key]) / sd_r if key in logs else 0.0
        found = reward.coefficients_of("places", row["extra_info"])
        # Margins are kept to four decimals.
        expected = own.delta * (1 + 0.25 * math.tanh(0.77917 / 2 * (h + z)))
        assert found.delta == pytest.approx(min(expected, 2.0), abs=1e-3)
        deltas.add(found.delta)
    assert len(deltas) > 10


def test_images_by_reference_are_the_same_questions(run, whole, tmp_path):
    referring = run(tmp_path, parquet={"images": "reference"})
    for name in ("rl_train.parquet", "test.parquet"):
        assert load_questions(referring / name) == load_questions(whole / name)
        assert (referring / name).stat().st_size < (whole / name).stat().st_size
