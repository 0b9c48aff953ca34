"""RLAIF-V: one file with the questions of the fourteen datasets of Table 13."""

import hashlib
import json
from pathlib import Path

import pytest
from miniature_rlaif_v import COLUMNS, row, rows, write

from data_prep.datasets.rlaif_v import COLUMNS as READ
from data_prep.questions import SourceQuestion
from reward_fns.errors import UserError
from reward_fns.paper_tables import TABLES_1_AND_4

SHAPE = Path(__file__).parents[4] / "shared" / "data" / "rlaifv" / "COLUMNS_SHAPE.json"


def test_every_row_gets_the_tag_and_task_of_table_13(read, tmp_path):
    write(tmp_path, rows())
    questions, rejected = read("rlaif_v")
    assert not rejected
    assert [(q.dataset, q.task) for q in questions] == [
        (tag, values[0]) for tag, values in TABLES_1_AND_4.items() for _ in range(2)
    ]
    content = rows()[0]["image"]["bytes"]
    assert questions[0] == SourceQuestion(
        "OCR-VQA/0",
        "OCR-VQA",
        "QA",
        "Which place is number 0?",
        f"rlaif-v/{hashlib.sha256(content).hexdigest()}",
        content,
        "This is Oslo.",
    )
    assert {q.ground_truth for q in read("rlaif_v", reference="none")[0]} == {""}
    assert [q.question_id for q in read("COCO", kind="rlaif_v")[0]] == ["COCO/20", "COCO/21"]


def test_pairs_of_one_question_are_told_apart_and_share_their_picture(read, tmp_path):
    named = "COCO_train2014_000000000009.jpg"
    first = row(0, "VQAv2", image_path=f"train2014/{named}")
    again = first | {"chosen": "This is Riga."}
    other_file = row(1, "COCO", image_path="000000000009.jpg")  # COCO 2017's name, other bytes
    unnamed = row(2, "GQA", image=first["image"], image_path="7.jpg")  # the same bytes
    write(tmp_path, [first, again, other_file, unnamed])
    questions, _ = read("rlaif_v")
    assert [q.question_id for q in questions] == ["VQAv2/0", "VQAv2/0-2", "COCO/1", "GQA/2"]
    assert {q.image_id for q in questions} == {"coco/9"}
    assert [q.ground_truth for q in questions[:2]] == ["This is Oslo.", "This is Riga."]


def test_rows_that_cannot_be_used_are_named(read, tmp_path):
    bad = [
        row(0, "COCO", origin_dataset="Flickr30k"),
        row(1, "COCO", origin_dataset=None),
        row(2, "COCO", question=" "),
        row(3, "COCO", image={"bytes": None, "path": None}, image_path=None),
        row(4, "COCO", idx=None),
    ]
    write(tmp_path, [*bad, row(5, "COCO")])
    questions, rejected = read("rlaif_v")
    assert [q.question_id for q in questions] == ["COCO/5"]
    assert [(item.place, item.detail) for item in rejected] == [
        ("RLAIF-V-Dataset_000.parquet row 0", "origin_dataset 'Flickr30k' is none of Table 13"),
        ("RLAIF-V-Dataset_000.parquet row 1", "no origin_dataset"),
        ("RLAIF-V-Dataset_000.parquet row 2", "question is empty"),
        ("RLAIF-V-Dataset_001.parquet row 0", "image holds neither bytes nor a path"),
        ("RLAIF-V-Dataset_001.parquet row 1", "no idx"),
    ]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rlaif_v", {"file": "none.parquet"}, "no file .*none.parquet .*RLAIF-V-Dataset"),
        ("rlaif_v", {"reference": "rejected"}, "reference is one of chosen, none, got 'rejected'"),
        ("mine", {"kind": "rlaif_v"}, "of RLAIF-V the name is rlaif_v for all, or one of OCR-VQA"),
        ("MovieNet", {"kind": "rlaif_v"}, "holds no question of MovieNet: it has COCO"),
    ],
)
def test_what_cannot_be_read_is_named(read, tmp_path, name, options, message):
    write(tmp_path, [row(0, "COCO"), row(1, "COCO")])
    with pytest.raises(UserError, match=message):
        read(name, **options)


def test_another_file_is_refused(read, tmp_path):
    import pyarrow.parquet as pq

    write(tmp_path, rows())
    shard = tmp_path / "RLAIF-V-Dataset_000.parquet"
    pq.write_table(pq.read_table(shard).drop_columns(["chosen"]), shard)
    with pytest.raises(UserError, match="_000.parquet has no column chosen"):
        read("rlaif_v")


@pytest.mark.skipif(not SHAPE.exists(), reason=f"no {SHAPE}: public data, not in the project")
def test_the_miniature_has_the_columns_of_the_published_file():
    shape = json.loads(SHAPE.read_text(encoding="utf-8"))
    published = [name for name in shape["columns"] if not name.startswith("(")]
    assert published == COLUMNS.names and set(READ) <= set(published)
    assert list(shape["image"]) == [field.name for field in COLUMNS.field("image").type]
