"""Objects in texts and in COCO's files."""

import json
import re
from pathlib import Path

import pytest

from eval.benchmarks.coco_truth import objects_of_images
from eval.benchmarks.extraction import PhraseExtractor, SpacyExtractor
from eval.benchmarks.vocabulary import coco, read_vocabulary
from reward_fns.errors import UserError

HALBENCH = Path(__file__).parents[4] / "shared" / "data" / "halbench"


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("A man rides a wave on a surfboard.", ("person", "surfboard")),
        ("Two hot dogs, and a slice of pizza beside three wine glasses.",
         ("hot dog", "pizza", "wine glass")),
        ("Three pizza slices and knives.", ("pizza", "knife")),
        ("A bus driver stands near the bus stop.", ("person",)),
        ("An orange cat sleeps on the couches.", ("cat", "couch")),
        ("There is no dog in the picture, but people play with a frisbee.", ("person", "frisbee")),
        ("A red double-decker bus stands at the kerb.", ("bus",)),
        ("A dog looks at another dog.", ("dog", "dog")),
        ("Her laptop computer and computer mouse are on the desk.",
         ("laptop", "mouse", "dining table")),
        ("A teddy bear sits in the sand.", ("teddy bear",)),
        ("Nothing to see.", ()),
    ],
)  # fmt: skip
def test_spacy_finds_what_english_mentions(text, objects):
    assert SpacyExtractor(coco()).mentions([text]) == [objects]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("two red Sofas", "couch"),
        ("wine glasses", "wine glass"),
        ("Knives", "knife"),
        ("puppies", "dog"),
        ("bus stop", None),
        ("sky", None),
    ],
)
def test_a_name_from_a_judge_is_looked_up_by_its_ending(name, found):
    assert coco().lookup(name) == found


def test_a_vocabulary_of_ones_own_is_read_by_phrases(tmp_path):
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps({"objects": {"red 3": [], "Oslo": ["emblem of oslo"]}}))
    extractor = PhraseExtractor(read_vocabulary(path))
    text = "1. A red 3 is at the top left.\n2. The emblem of Oslo is below.\nConfidence: 0.3"
    assert extractor.mentions([text]) == [("red 3", "Oslo")]


def test_a_name_of_two_objects_is_refused(tmp_path):
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps({"objects": {"cat": ["pet"], "dog": ["pet"]}}))
    with pytest.raises(UserError, match="'pet' names cat and dog"):
        read_vocabulary(path)


def write_coco(directory):
    """Miniature COCO: image 1 holds a dog, and its captions a man; image 2 holds a car."""
    directory.mkdir(exist_ok=True)
    instances = {
        "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [{"image_id": 1, "category_id": 18}, {"image_id": 2, "category_id": 3}],
    }
    captions = {"annotations": [{"image_id": 1, "caption": "A man walks a puppy."}]}
    (directory / "instances_val2014.json").write_text(json.dumps(instances))
    (directory / "captions_val2014.json").write_text(json.dumps(captions))


def test_an_image_holds_its_instances_and_what_its_captions_mention(tmp_path):
    write_coco(tmp_path / "annotations")
    found = objects_of_images(tmp_path, {"1", "2"}, SpacyExtractor(coco()))
    assert found == {"1": {"dog", "person"}, "2": {"car"}}
    with pytest.raises(UserError, match="image 7 and 0 more"):
        objects_of_images(tmp_path, {"1", "7"}, SpacyExtractor(coco()))


def test_the_vocabulary_has_cocos_80_categories():
    assert len(coco().objects) == 80


@pytest.mark.skipif(not HALBENCH.is_dir(), reason="no ../shared/data/halbench")
def test_the_vocabulary_differs_from_halbench_on_the_words_that_the_readme_lists():
    theirs: dict[str, str] = {}
    for line in (HALBENCH / "synonyms_refine.txt").read_text().splitlines():
        names = [name for name in re.split(r", *", line.strip().lower()) if name]
        theirs.update(dict.fromkeys(names, names[0]))
    ours = coco().phrases
    common = [name for name in theirs if ours.get(name)]
    assert len(common) > 250
    assert {name: (theirs[name], ours[name]) for name in common if ours[name] != theirs[name]} == {
        "trolley": ("bus", "train"),
        "longboard": ("surfboard", "skateboard"),
        "recliner": ("couch", "chair"),
    }
