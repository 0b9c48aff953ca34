"""Model and data of the recipe's tests: the shipped pocket model and a few drawn questions."""

from pathlib import Path

import pytest

POCKET_MODEL = Path(__file__).parents[2] / "data_prep" / "pocket" / "base_model"


@pytest.fixture(scope="session")
def pocket_model() -> Path:
    return POCKET_MODEL


@pytest.fixture(scope="session")
def pocket_data(tmp_path_factory) -> Path:
    """Directory with rl_train.parquet, test.parquet, sft_questions.parquet and coefficients.yaml, 20 questions each."""
    from data_prep.pocket import data

    folder = tmp_path_factory.mktemp("pocket")
    data.write(folder, 0, {"rl_train": 20, "test": 20, "sft_questions": 20})
    return folder
