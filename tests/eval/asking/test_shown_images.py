"""The images that stand in for a question's own."""

import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.verl_rows import Question
from eval.asking.shown_images import IMAGES, ShownImages, other_images
from reward_fns.errors import UserError


def question(number, image, dataset="a"):
    return Question(f"q{number}", dataset, "QA", "Which?", "im", "", image, [], "7")


def jpeg(size, orientation=1):
    content = io.BytesIO()
    image = Image.new("RGB", size, (200, 30, 30))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(content, "JPEG", exif=exif)
    return content.getvalue()


def opened(image):
    return Image.open(io.BytesIO(image))


def test_grey_and_noise_have_the_size_that_the_model_would_have_been_shown():
    upright, turned = question(0, jpeg((40, 20))), question(1, jpeg((40, 20), orientation=6))
    for kind in ("none", "noise"):
        shown = ShownImages(kind, [upright, turned], seed=0)
        assert opened(shown(upright).image).size == (40, 20)
        assert opened(shown(turned).image).size == (20, 40)
        assert replace(shown(upright), image=upright.image) == upright
    grey = np.asarray(opened(ShownImages("none", [upright], 0)(upright).image))
    assert grey.shape == (20, 40, 3) and np.unique(grey).tolist() == [128]


def test_noise_is_uniform_and_its_own_for_each_question_and_seed():
    one, two = question(0, jpeg((64, 64))), question(1, jpeg((64, 64)))
    shown = ShownImages("noise", [one, two], 0)
    pixels = np.asarray(opened(shown(one).image)).astype(float)
    assert pixels.min() == 0 and pixels.max() == 255
    # 12,288 uniform values: mean 127.5 with a standard error of 0.67, standard deviation 73.9
    assert abs(pixels.mean() - 127.5) < 3 and abs(pixels.std() - 73.9) < 2
    assert shown(one).image == ShownImages("noise", [one], 0)(one).image  # whatever else is asked
    assert len({shown(one).image, shown(two).image, ShownImages("noise", [one], 1)(one).image}) == 3


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=40), st.integers(0, 5))
def test_another_image_is_a_permutation_without_one_of_the_same_bytes(images, seed):
    questions = [question(i, image.encode()) for i, image in enumerate(images)]
    if 2 * max(Counter(images).values()) > len(images):
        with pytest.raises(UserError, match="questions of a have the same image"):
            other_images(questions, seed)
        return
    found = other_images(questions, seed)
    assert Counter(found.values()) == Counter(q.image for q in questions)
    assert all(found[q.question_id] != q.image for q in questions)


def test_another_image_is_of_the_same_dataset_and_changes_with_the_seed():
    questions = [question(i, f"{i % 2}{i}".encode(), dataset=f"d{i % 2}") for i in range(20)]
    found = [other_images(questions, seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    for q in questions:
        assert found[0][q.question_id][:1] == q.image[:1]


def test_as_is_changes_nothing_and_stands_in_no_settings():
    shown = ShownImages("as_is", [], 0)
    one = question(0, b"not even an image")
    assert shown(one) is one and shown.settings == {}
    assert [ShownImages(kind, [], 0).settings for kind in IMAGES[1:]] == [
        {"images": "none"},
        {"images": "other"},
        {"images": "noise"},
    ]
