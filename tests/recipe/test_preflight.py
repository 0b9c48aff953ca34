"""Bad input ends a run with one line that names the thing and the remedy."""

import shutil
import struct
import subprocess
import sys

import pandas as pd
import pyarrow
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from recipe.difficulty_calib.preflight.inputs import (
    PreflightError,
    check_measured,
    check_model,
    check_parquet,
    check_reward,
    check_tag,
    check_trainer,
    check_versions,
)
from reward_fns.coefficients_file import Coefficients, QuestionReference, save_coefficients


@pytest.fixture
def composed():
    from hydra import compose, initialize_config_module

    def compose_profile(profile, *lines):
        with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
            return compose(profile, overrides=list(lines))

    return compose_profile


def rewarded(**options):
    """A configuration with these options of the reward."""
    section = {"custom_reward_function": {"reward_kwargs": {"expert": "oracle"} | options}}
    return OmegaConf.create({"reward": section})


def test_the_pocket_model_and_data_pass(pocket_model, pocket_data):
    from recipe.difficulty_calib.preflight.inputs import check_image_tokens

    check_versions()
    processor = check_model(str(pocket_model))
    check_image_tokens(processor)
    rows = check_parquet(str(pocket_data / "rl_train.parquet"), "images")
    assert len(rows) == 20
    reward = check_reward(rewarded(coefficients=str(pocket_data / "coefficients.yaml")))
    for row in rows:
        check_tag("rl_train.parquet", row["data_source"], reward)


def test_a_wrong_version_is_named(monkeypatch):
    from recipe.difficulty_calib import patches

    monkeypatch.setattr(patches, "package_version", lambda package: "0.7.0")
    with pytest.raises(
        PreflightError,
        match=r"for vllm>=0\.24,<0\.29, but vllm 0\.7\.0 is installed: install the pinned set",
    ):
        check_versions()


def test_a_model_directory_that_is_not_there():
    with pytest.raises(PreflightError, match="no model directory ./nowhere"):
        check_model("./nowhere")


def test_a_llava_without_processor(tmp_path, pocket_model):
    copy = tmp_path / "model"
    shutil.copytree(pocket_model, copy)
    for name in ("processor_config.json", "preprocessor_config.json"):
        (copy / name).unlink(missing_ok=True)
    with pytest.raises(PreflightError, match="processor") as caught:
        check_model(str(copy))
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)


def test_a_processor_of_another_model_is_found_by_its_image_tokens(tmp_path, pocket_model):
    from recipe.difficulty_calib.preflight.inputs import check_image_tokens

    processor = check_model(str(pocket_model))
    processor.patch_size = processor.patch_size * 2
    with pytest.raises(PreflightError, match="is not this model's"):
        check_image_tokens(processor)


def test_a_missing_parquet():
    with pytest.raises(PreflightError, match="no data file nowhere.parquet: make it with"):
        check_parquet("nowhere.parquet", "images")


def test_a_parquet_cut_short(tmp_path, pocket_data):
    cut = tmp_path / "cut.parquet"
    cut.write_bytes((pocket_data / "rl_train.parquet").read_bytes()[:-100])
    with pytest.raises(PreflightError, match="cut.parquet is no parquet file"):
        check_parquet(str(cut), "images")


def test_text_that_is_no_utf_8(tmp_path, pocket_data):
    table = pq.read_table(pocket_data / "rl_train.parquet")
    n = len(table)
    ends = pyarrow.py_buffer(struct.pack(f"<{n + 1}i", *range(n + 1)))
    buffers = [None, ends, pyarrow.py_buffer(b"\xff" * n)]
    tags = pyarrow.Array.from_buffers(pyarrow.string(), n, buffers)
    table = table.drop(["data_source"]).append_column("data_source", tags)
    pq.write_table(table, tmp_path / "odd.parquet")
    with pytest.raises(
        PreflightError, match="odd.parquet cannot be read to its end .*make it again"
    ):
        check_parquet(str(tmp_path / "odd.parquet"), "images")


def test_a_missing_column(tmp_path, pocket_data):
    path = tmp_path / "narrow.parquet"
    pd.read_parquet(pocket_data / "rl_train.parquet").drop(columns="reward_model").to_parquet(path)
    with pytest.raises(PreflightError, match="lacks the columns reward_model"):
        check_parquet(str(path), "images")


def test_a_missing_image_names_its_row(tmp_path, pocket_data):
    path = tmp_path / "paths.parquet"
    frame = pd.read_parquet(pocket_data / "rl_train.parquet")
    frame["images"] = [[{"path": "gone.png"}]] * len(frame)
    frame.to_parquet(path)
    with pytest.raises(PreflightError, match="row 0 of .*: image gone.png does not exist"):
        check_parquet(str(path), "images")


def test_with_difficulty_by_question_a_row_that_was_not_measured_is_named(tmp_path):
    ones = Coefficients(1.0, 1.0, 1.0, 1.0)
    save_coefficients(tmp_path / "c.yaml", {"toy": ones}, {"toy": QuestionReference()})
    rows = [
        {"data_source": "toy", "extra_info": {"question_id": "q1", "vote_margin": 0.5}},
        {"data_source": "toy", "extra_info": {"question_id": "q2"}},
    ]
    by_dataset, by_question = (
        check_reward(rewarded(coefficients=str(tmp_path / "c.yaml"), difficulty=difficulty))
        for difficulty in ("dataset", "question")
    )
    check_measured("x.parquet", rows, by_dataset)
    check_measured("x.parquet", rows[:1], by_question)
    with pytest.raises(PreflightError, match="x.parquet: .*question q2 of dataset 'toy'"):
        check_measured("x.parquet", rows, by_question)


def test_an_unknown_tag_names_the_known_ones():
    with pytest.raises(PreflightError, match="x.parquet.*VQAv2"):
        check_tag("x.parquet", "no-such-dataset", check_reward(rewarded(rule="proper")))


def test_a_reward_without_expert_or_with_a_wrong_option_fails_before_anything_heavy():
    with pytest.raises(PreflightError, match="no expert is named"):
        check_reward(rewarded(expert=None))
    with pytest.raises(PreflightError, match="scheme was replaced: set coefficients"):
        check_reward(rewarded(scheme="fixed"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "+trainer.v1.difficulty_guided.min_corelation=0.9",
            "no option min_corelation: it has min_",
        ),
        ("reward.reward_model.enable=true", "set reward.reward_model.enable_resource_pool=True"),
    ],
)
def test_trainer_options_that_cannot_work(composed, line, message):
    with pytest.raises(PreflightError, match=message):
        check_trainer(composed("pocket", line))


def test_the_command_prints_one_line_and_fails(pocket_model):
    command = [
        sys.executable,
        "-m",
        "recipe.difficulty_calib.train",
        "data.train_files=nowhere.parquet",
    ]
    command += [f"actor_rollout_ref.model.path={pocket_model}", "hydra.run.dir=/tmp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: no data file nowhere.parquet")
