"""A miniature of RLAIF-V-Dataset in its own column layout:
two rows of each of the fourteen tags, in two shards.
"""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import scripted

from reward_fns.paper_tables import TABLES_1_AND_4

COLUMNS = pa.schema(
    [
        ("ds_name", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *(
            (name, pa.string())
            for name in (
                "question",
                "chosen",
                "rejected",
                "origin_dataset",
                "origin_split",
                "idx",
                "image_path",
            )
        ),
    ]
)
SPELLED = {"COCO": "coco", "VQAv2": "vqav2", "OK-VQA": "OKVQA"}
"""Tags of Table 13 as `origin_dataset` may spell them."""


def row(index, tag, **changes):
    task = TABLES_1_AND_4[tag][0]
    kind = "question_answering" if task == "QA" else "detailed_description"
    return {
        "ds_name": "RLAIF-V",
        "image": {"bytes": scripted.png(index), "path": f"{index}.jpg"},
        "question": f"Which place is number {index}?",
        "chosen": "This is Oslo.",
        "rejected": "This is Lima.",
        "origin_dataset": SPELLED.get(tag, tag),
        "origin_split": json.dumps({"model": "llava15", "type": kind}),
        "idx": str(index),
        "image_path": f"images/{index}.jpg",
    } | changes


def rows():
    """Two of each tag."""
    return [row(2 * i + j, tag) for i, tag in enumerate(TABLES_1_AND_4) for j in range(2)]


def write(folder, content):
    """Two shards."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(content) // 2
    for shard, part in enumerate((content[:half], content[half:])):
        table = pa.Table.from_pylist(part, COLUMNS)
        pq.write_table(table, folder / f"RLAIF-V-Dataset_{shard:03d}.parquet")
