"""Of the tests of stage one: a scripted model and expert by dotted path, a tiny encoder,
runs that can be killed.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """The directory of a random sentence encoder."""
    from warm_runs import build_encoder

    return build_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def zygote(tmp_path_factory):
    """What starts runs in warm processes."""
    from warm_runs import Zygote

    with Zygote(
        tmp_path_factory.mktemp("zygote") / "log", "sentence_transformers", "spacy"
    ) as process:
        yield process
