"""The map from the reference's mean numbers to chances, against isotonic regression by hand."""

import pytest

from recipe.difficulty_calib.number_map import NumberMap
from reward_fns.errors import ConfigurationError


def test_the_map_pools_what_is_out_of_order_and_keeps_off_the_ends():
    fitted = NumberMap()
    fitted.add([0.1, 0.2, 0.3, 0.9], [0.0, 1.0, 0.0, 1.0])
    # 1 at 0.2 and 0 at 0.3 are out of order: their mean. Between points it is linear.
    assert fitted.apply([0.1, 0.2, 0.3, 0.9]) == pytest.approx([0.01, 0.5, 0.5, 0.99])
    assert fitted.apply([0.0, 0.6, 1.0]) == pytest.approx([0.01, 0.745, 0.99])


def test_answers_of_all_steps_count():
    fitted = NumberMap()
    fitted.add([0.5, 0.5], [0.0, 0.0])
    first = fitted.apply([0.5])
    fitted.add([0.5, 0.5], [1.0, 1.0])
    assert (first, fitted.apply([0.5])) == ([0.01], [0.5]) and len(fitted) == 4


def test_without_answers_there_is_nothing_to_map():
    fitted = NumberMap()
    fitted.add([], [])
    assert fitted.apply([]) == []


def test_a_checkpoint_keeps_the_answers(tmp_path):
    fitted = NumberMap()
    fitted.add([0.1, 0.4, 0.8], [0.0, 1.0, 1.0])
    fitted.save(tmp_path / NumberMap.FILE)
    again = NumberMap.load(tmp_path / NumberMap.FILE)
    again.add([0.6], [0.0])
    fitted.add([0.6], [0.0])
    assert again.apply([0.2, 0.7]) == fitted.apply([0.2, 0.7])


def test_a_checkpoint_of_another_way_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ConfigurationError, match="another segments.number_by than fitted"):
        NumberMap.load(tmp_path / NumberMap.FILE)
