"""Paired differences from the first model: by hand, told apart where they are,
undecided where they may be noise.
"""

import math

import numpy as np
import pytest

from eval.benchmarks.differences import Outcomes, against_first
from eval.benchmarks.tables import differences_table

MENTION, RECALL = ("ObjHal mention", "asserted"), ("ObjHal recall", "asserted")


def outcomes(above, below, images=None):
    items = [str(i) for i in range(len(above))]
    return Outcomes(
        dict(zip(items, above, strict=True)),
        dict(zip(items, below, strict=True)),
        dict(zip(items, images or items, strict=True)),
    )


def test_the_difference_is_that_of_two_ratios_on_the_items_of_both():
    base = outcomes([1, 0, 2, 9], [2, 1, 2, 9])
    ours = Outcomes(
        {"0": 0, "1": 1, "2": 1}, {"0": 1, "1": 3, "2": 1}, {"0": "0", "1": "1", "2": "2"}
    )
    (one,) = against_first({"base": {MENTION: base}, "ours": {MENTION: ours}})
    # 2 of 5 mentions against 3 of 5; the fourth item was read for one of them only
    assert one.difference.value == pytest.approx(2 / 5 - 3 / 5)
    assert one.images == 3 and one.verdict == "undecided"  # of three images nothing is said


def test_what_is_better_depends_on_the_number_and_holm_counts_all_of_it():
    rng = np.random.default_rng(0)
    base, more = (rng.random(400) < 0.3).astype(float), (rng.random(400) < 0.6).astype(float)
    same = base.copy()
    same[:2] = 1 - same[:2]
    ones = np.ones(400)
    of = {name: outcomes(x, ones) for name, x in {"base": base, "more": more, "same": same}.items()}
    found = against_first({name: {MENTION: one, RECALL: one} for name, one in of.items()})
    verdicts = {(one.model, one.number): one.verdict for one in found}
    assert verdicts == {
        ("more", "ObjHal mention"): "worse",
        ("more", "ObjHal recall"): "better",
        ("same", "ObjHal mention"): "undecided",
        ("same", "ObjHal recall"): "undecided",
    }
    assert {one.family for one in found} == {2}
    assert all(one.p_holm >= one.p_value for one in found)
    told = differences_table(found)
    assert [row[-1] for row in told.rows] == [
        "ObjHal mention worse; ObjHal recall better",
        "undecided",
    ]


def test_a_small_effect_is_lost_among_many_models():
    rng = np.random.default_rng(1)
    base = (rng.random(300) < 0.5).astype(float)
    ours = base.copy()
    ours[np.flatnonzero(base == 1)[:7]] = 0
    ours[np.flatnonzero(base == 0)[:1]] = 1
    ones = np.ones(300)
    alone = {"base": {MENTION: outcomes(base, ones)}, "ours": {MENTION: outcomes(ours, ones)}}
    (one,) = against_first(alone)
    assert one.p_value < 0.05 and one.verdict == "better"
    twins = {f"twin{i}": alone["base"] for i in range(40)}
    assert against_first({**alone, **twins})[0].verdict == "undecided"


def test_questions_about_one_image_are_resampled_together():
    rng = np.random.default_rng(2)
    base, ours = (np.repeat(rng.random(50) < p, 6).astype(float) for p in (0.5, 0.6))
    images = [str(i // 6) for i in range(300)]
    key = ("POPE accuracy", "")

    def width(images):
        of = {
            name: {key: outcomes(x, np.ones(300), images)} for name, x in (("a", base), ("b", ours))
        }
        (one,) = against_first(of)
        return one.difference.high - one.difference.low

    assert width(images) > 2 * width(None)


def test_a_number_that_is_undefined_for_one_is_undefined():
    nothing = outcomes([0.0] * 40, [0.0] * 40)
    base = outcomes([1.0] * 40, [2.0] * 40)
    (one,) = against_first({"base": {MENTION: base}, "silent": {MENTION: nothing}})
    assert one.verdict == "undefined" and math.isnan(one.p_holm)
    assert differences_table([one]).rows[0][-2] is None
    assert against_first({"base": {MENTION: base}}) == []
