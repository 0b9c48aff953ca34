"""Miniatures of the published datasets, in their publishers' formats."""

import json

import pytest

from data_prep.datasets import open_dataset
from data_prep.questions import Rejected


@pytest.fixture
def put(tmp_path):
    """Write a file under the dataset's root: text as it is, bytes as they are,
    anything else as JSON.
    """

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(
                content if isinstance(content, str) else json.dumps(content), encoding="utf-8"
            )
        return path

    return write


@pytest.fixture
def read(tmp_path):
    """(questions, rejected) of a dataset whose root is the test's folder."""

    def items(name, **options):
        found = list(open_dataset({"name": name, "root": str(tmp_path), **options}))
        rejected = [item for item in found if isinstance(item, Rejected)]
        return [item for item in found if not isinstance(item, Rejected)], rejected

    return items
