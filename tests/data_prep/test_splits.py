"""Splits: numbers a cell, one side an image, whatever the questions are."""

import json
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.questions import SourceQuestion, write_questions
from data_prep.steps import splits
from data_prep.steps.context import Context, Models
from data_prep.steps.splits import SplitsConfig, allocate, quota
from reward_fns.errors import UserError
from reward_fns.files import read_jsonl

CHOSEN = ("train", "sft", "selection")
CELLS = [(dataset, subset) for dataset in ("A", "B") for subset in splits.SUBSETS]


@pytest.mark.parametrize(
    ("size", "train", "sft", "given_"),
    [
        (1000, 33, 24, (33, 24)),
        (114, 33, 24, (33, 24)),  # exactly twice 57
        (113, 33, 24, (32, 23)),  # 56 to divide: 56 * 33 / 57 = 32.4, 56 * 24 / 57 = 23.6
        (10, 33, 0, (5, 0)),
        (1, 33, 24, (0, 0)),
        (10, 0, 0, (0, 0)),
    ],
)
def test_a_small_cell_keeps_half_for_evaluation(size, train, sft, given_):
    assert quota(size, train, sft) == given_


def test_the_selection_takes_its_part_of_a_small_cell():
    # 22 to divide: 22 * 33 / 66 = 11, 22 * 22 / 66 = 7.3, 22 * 11 / 66 = 3.7
    assert quota(45, 33, 22, 11) == (11, 7, 3)
    assert quota(132, 33, 22, 11) == (33, 22, 11)


images_strategy = st.dictionaries(
    st.integers(0, 400).map("image-{}".format),
    st.lists(st.sampled_from(CELLS), min_size=1, max_size=4),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(images_strategy, st.tuples(*[st.integers(0, 6)] * 3), st.integers(0, 3))
def test_no_cell_gets_more_than_its_number_and_the_order_does_not_matter(images, asked, seed):
    sizes = Counter(cell for cells in images.values() for cell in cells)
    wanted = {cell: quota(size, *asked) for cell, size in sizes.items()}
    side = allocate(images, wanted, seed)
    assert set(side.values()) <= set(CHOSEN) and side.keys() <= images.keys()
    got = Counter((cell, side[image]) for image in side for cell in images[image])
    for cell, numbers in wanted.items():
        given_ = [got[cell, split] for split in CHOSEN]
        assert all(map(int.__le__, given_, numbers)) and sum(given_) <= sizes[cell] / 2
    backwards = dict(reversed(images.items()))
    assert allocate(backwards, wanted, seed) == side
    # A cell is short only if each image it has left would overfill a cell.
    for cell, numbers in wanted.items():
        if got[cell, "train"] < numbers[0]:
            for image in images:
                if image not in side and cell in images[image]:
                    needed = Counter(images[image])
                    assert any(got[c, "train"] + n > wanted[c][0] for c, n in needed.items())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(CELLS), max_size=200), st.tuples(*[st.integers(0, 9)] * 3))
def test_with_one_question_an_image_every_cell_gets_exactly_its_number(cells, asked):
    images = {f"image-{index}": [cell] for index, cell in enumerate(cells)}
    wanted = {cell: quota(size, *asked) for cell, size in Counter(cells).items()}
    side = allocate(images, wanted, 0)
    got = Counter((images[image][0], split) for image, split in side.items())
    for cell, numbers in wanted.items():
        assert tuple(got[cell, split] for split in CHOSEN) == numbers


def test_another_seed_draws_other_images_and_each_about_equally_often():
    images = {f"image-{index}": [CELLS[0]] for index in range(20)}
    drawn = [frozenset(allocate(images, {CELLS[0]: (5, 0, 0)}, seed)) for seed in range(400)]
    counts = Counter(image for images in drawn for image in images)
    # Binomial(400, 1/4): mean 100, standard deviation 8.7
    assert len(counts) == 20 and all(57 <= count <= 143 for count in counts.values())


@pytest.fixture
def split(tmp_path):
    """Run the step on [(question_id, dataset, image_id, label or reason), ...]."""

    def run(rows, use_for=None, **config):
        fixed = use_for or {}
        questions = [
            SourceQuestion(q, d, "QA", "?", image, b"", "", (), fixed.get(d))
            for q, d, image, _ in rows
        ]
        write_questions(tmp_path / "questions.parquet", questions)
        labels = [
            {"question_id": q, "dataset": d, "label": label, "reason": None}
            if label in splits.LABELS
            else {"question_id": q, "dataset": d, "label": None, "reason": label}
            for q, d, _, label in rows
            if label != "dropped"
        ]
        (tmp_path / "labels.jsonl").write_text(
            "".join(json.dumps(r) + "\n" for r in labels), encoding="utf-8"
        )
        context = Context(tmp_path, "splits", "", Models(None, tmp_path))
        counts = splits.run(context, SplitsConfig(**config))
        return counts, list(read_jsonl(tmp_path / "splits.jsonl"))

    return run


ROWS = [
    (f"{d}/{s}-{i}", d, f"coco/{i % 30}-{s}", s if s != splits.UNPAIRED else "all true")
    for d in ("A", "B")
    for s in splits.SUBSETS
    for i in range(40)
]


def test_images_are_on_one_side_over_all_datasets_and_the_table_adds_up(split, tmp_path):
    counts, records = split(ROWS, train=6, sft=4, selection=3)
    assert [r["question_id"] for r in records] == [row[0] for row in ROWS]
    image = {row[0]: row[2] for row in ROWS}
    sides = defaultdict(set)
    for record in records:
        sides[image[record["question_id"]]].add(record["split"])
    assert all(len(side) == 1 for side in sides.values())
    got = Counter((r["dataset"], r["subset"], r["split"]) for r in records)
    assert {got[d, s, "train"] for d in ("A", "B") for s in splits.SUBSETS} == {6}
    assert {got[d, s, "sft"] for d in ("A", "B") for s in splits.SUBSETS} == {4}
    assert {got[d, s, "selection"] for d in ("A", "B") for s in splits.SUBSETS} == {3}
    assert (counts.n_in, counts.n_out, counts.dropped) == (320, 320, {})
    table = (tmp_path / "splits.md").read_text(encoding="utf-8")
    assert "| A       | entailment    |        40 |     6 |   4 |         3 |         27 |" in table
    assert table.endswith(
        "| all     |               |       320 |    48 |  32 |        24 |        216 |\n"
    )


def test_unpaired_questions_can_be_left_out_and_are_counted(split, tmp_path):
    counts, records = split(ROWS, train=6, sft=4, unpaired=False)
    assert {r["subset"] for r in records} == set(splits.LABELS)
    assert (counts.n_in, counts.n_out, counts.dropped) == (320, 240, {"unpaired": 80})
    failures = list(read_jsonl(tmp_path / "failures/splits.jsonl"))
    assert (
        len(failures) == 80
        and failures[0]["place"] == "A/unpaired-0"
        and failures[0]["detail"] == "all true"
    )


def test_a_cell_that_is_too_small_says_so_and_a_question_that_left_the_run_takes_no_part(
    split, tmp_path
):
    rows = [(f"q{i}", "A", f"i{i}", "neutral") for i in range(9)] + [("gone", "A", "i9", "dropped")]
    counts, records = split(rows, train=33, sft=11)
    assert counts.n_in == 9
    # half of 9 is 4: 4 * 33 / 44 = 3 to train, 4 * 11 / 44 = 1 to sft
    assert Counter(r["split"] for r in records) == {"train": 3, "sft": 1, "evaluation": 5}
    assert "|         9 | 3 of 33 | 1 of 11 |         0 |          5 |" in (
        tmp_path / "splits.md"
    ).read_text(encoding="utf-8")


def test_a_dataset_with_a_fixed_side_goes_there_whole_and_takes_its_pictures_along(split, tmp_path):
    rows = [(f"a{i}", "A", f"i{i}", "neutral") for i in range(20)] + [
        (f"b{i}", "B", f"i{i}", "neutral") for i in range(40)
    ]
    counts, records = split(rows, use_for={"A": "evaluation"}, train=8, sft=2)
    sides = {r["question_id"]: r["split"] for r in records}
    assert (
        {sides[f"a{i}"] for i in range(20)} == {sides[f"b{i}"] for i in range(20)} == {"evaluation"}
    )
    # Of B's other 20, which are exactly twice 8 + 2:
    assert Counter(sides[f"b{i}"] for i in range(20, 40)) == {
        "train": 8,
        "sft": 2,
        "evaluation": 10,
    }
    table = (tmp_path / "splits.md").read_text(encoding="utf-8")
    assert "| A       | neutral |        20 |     0 |   0 |         0 |         20 |" in table


def test_a_picture_on_two_fixed_sides_is_an_error_that_names_it(split):
    rows = [("a", "A", "i7", "neutral"), ("b", "B", "i7", "neutral")]
    with pytest.raises(
        UserError, match="image i7 is in a dataset for train and in one for evaluation"
    ):
        split(rows, use_for={"A": "train", "B": "evaluation"})


def test_negative_numbers_are_refused():
    with pytest.raises(
        ValueError,
        match="splits.train, splits.sft and splits.selection must be at least 0, got -1, 24, 0",
    ):
        SplitsConfig(train=-1)
