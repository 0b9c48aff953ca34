"""Pocket HA-DPO and POVID are read by the readers of the published files."""

import json

from data_prep.pocket import preferences
from data_prep.preferences.published import READERS
from data_prep.questions import Rejected
from reward_fns.claims import parse_response


def test_both_are_read_whole_and_their_worse_answer_is_another_one(tmp_path):
    preferences.write(tmp_path, 0, 20)
    for name in ("ha_dpo", "povid"):
        folder = tmp_path / name
        pairs = list(READERS[name](folder, folder, 0))
        assert len(pairs) == 20
        assert not any(isinstance(pair, Rejected) for pair in pairs)
        assert all(pair.image.is_file() and pair.chosen != pair.rejected for pair in pairs)
        in_claims = [p for p in pairs if "Confidence: " in p.chosen]
        assert 0 < len(in_claims) < 20
        for pair in in_claims:
            better, worse = parse_response(pair.chosen), parse_response(pair.rejected)
            if len(better.claims) == len(worse.claims):
                assert better.confidence == worse.confidence
                assert [c.sure for c in better.claims] == [c.sure for c in worse.claims]


def test_the_files_are_a_function_of_the_seed(tmp_path):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        preferences.write(tmp_path / out, seed, 8)
    a, b, c = (json.loads((tmp_path / o / "povid/povid.json").read_text()) for o in "abc")
    assert a == b != c
