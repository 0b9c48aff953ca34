"""Preference sets and stage one's pairs as one record; excerpts of `shared/data` where there."""

import io
import json
from pathlib import Path

import miniature_rlaif_v
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.preferences.__main__ import main
from data_prep.preferences.published import READERS
from data_prep.questions import Rejected, SourceQuestion, write_questions
from data_prep.verl_rows import load_preferences, preference_row, preference_writer
from reward_fns.claims import claim_prompt
from reward_fns.errors import UserError

SHARED = Path(__file__).parents[4] / "shared" / "data"


def png(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content), encoding="utf-8")


def convert(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["preferences", *map(str, arguments)])
    return main()


def asked(**changes):
    return {
        "image_id": 7,
        "question": "Is there a dog?",
        "answer": "no",
        "correct": False,
        "chosen": "No.",
        "reject": "Yes.",
    } | changes


def test_ha_dpo_is_read_with_either_spelling_of_the_worse_answer(tmp_path):
    put(tmp_path / "VG_100K_2/7.jpg", png())
    put(tmp_path / "desc_data.json", {"7": {"chosen": ["A cat."], "reject": ["A dog."]}})
    items = [asked(), asked(reject=None, rejected="Yes!"), asked(correct=True), asked(reject=" ")]
    items[1].pop("reject")
    put(tmp_path / "pope_data.json", items)
    pairs = list(READERS["ha_dpo"](tmp_path, tmp_path, 0))
    kept = [pair for pair in pairs if not isinstance(pair, Rejected)]
    assert [(p.chosen, p.rejected) for p in kept] == [
        ("A cat.", "A dog."),
        ("No.", "Yes."),
        ("No.", "Yes!"),
    ]
    assert {p.image for p in kept} == {tmp_path / "VG_100K_2/7.jpg"}
    assert [(p.place, p.reason, p.detail) for p in pairs if isinstance(p, Rejected)] == [
        ("pope_data.json item 2", "correct: true", "the model was right"),
        ("pope_data.json item 3", "malformed record", "reject is empty"),
    ]


def test_a_wording_of_ha_dpo_is_drawn_by_the_seed(tmp_path):
    record = {"chosen": list("abcdefgh"), "rejected": list("ABCDEFGH")}
    put(tmp_path / "desc_data.json", {"1": record})
    drawn = [next(READERS["ha_dpo"](tmp_path, tmp_path, seed)) for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({(pair.chosen, pair.rejected) for pair in drawn}) > 1


def turns(*values):
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(values)]


def povid_record(**changes):
    return {
        "id": "x",
        "image": "./data/coco/1.jpg",
        "conversations": turns("<image>\nWhat?", "A cat."),
        "rejected_conversations": turns("<image>\nWhat?", "A dog."),
    } | changes


def test_povid_keeps_earlier_turns_and_names_what_it_cannot_use(tmp_path):
    put(tmp_path / "images/coco/1.jpg", png())
    longer = [
        turns("What?<image>", "A cat.", "Its colour?", answer) for answer in ("Red.", "Blue.")
    ]
    records = [
        povid_record(),
        povid_record(conversations=longer[0], rejected_conversations=longer[1]),
        povid_record(conversations=longer[0]),
        povid_record(image="/etc/passwd"),
        povid_record(rejected_conversations=turns("What?")),
    ]
    put(tmp_path / "data.json", records)
    pairs = list(READERS["povid"](tmp_path, tmp_path / "images", 0))
    assert pairs[0].turns == (("user", "What?"),)
    assert pairs[0].image == tmp_path / "images/coco/1.jpg"
    assert pairs[1].turns == (("user", "What?"), ("assistant", "A cat."), ("user", "Its colour?"))
    assert (pairs[1].chosen, pairs[1].rejected) == ("Red.", "Blue.")
    assert [pair.detail for pair in pairs[2:]] == [
        "its two conversations differ before the last answer",
        "image '/etc/passwd' is no path under the images' folder",
        "rejected_conversations does not end with an answer of gpt",
    ]


def test_rlaif_v_gives_both_answers_of_its_rows(tmp_path):
    rows = miniature_rlaif_v.rows()[:3]
    rows[1]["rejected"] = ""
    miniature_rlaif_v.write(tmp_path, rows)
    first, empty, _ = READERS["rlaif_v"](tmp_path, tmp_path, 0)
    assert (first.source, first.question_id) == ("OCR-VQA", "OCR-VQA/0")
    assert (first.chosen, first.rejected) == ("This is Oslo.", "This is Lima.")
    assert first.image == rows[0]["image"]["bytes"]
    assert empty.detail == "rejected is empty"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published files are not here")
def test_the_published_excerpts_are_read(tmp_path):
    desc, pope = READERS["ha_dpo"](_named(tmp_path, "hadpo", "_SHAPE"), tmp_path, 0)
    assert (desc.chosen, desc.rejected) == (
        "A made-up description.",
        "A made-up description with a dog.",
    )
    assert (pope.chosen, pope.rejected) == ("No, there is no dog.", "Yes, there is a dog.")
    (pair,) = READERS["povid"](_named(tmp_path, "povid", "_excerpt"), tmp_path, 0)
    assert pair.turns == (("user", "Describe this image in detail."),)
    assert pair.image == tmp_path / "data/coco/COCO_train2014_000000353952.jpg"
    assert "riding boots" in pair.rejected
    assert "riding boots" not in pair.chosen


def _named(folder, name, suffix):
    """The published files under the names that they are published by."""
    for path in (SHARED / name).glob("*.json"):
        content = path.read_bytes()
        put(folder / name / path.name.replace(suffix, ""), content)
    return folder / name


def test_one_command_writes_the_record_and_names_what_is_left_out(tmp_path, monkeypatch, capsys):
    put(tmp_path / "7.png", png())
    put(tmp_path / "pope_data.json", [asked(), asked(image_id=8), asked(reject="No.")])
    out = tmp_path / "out.parquet"
    assert convert(monkeypatch, "ha_dpo", tmp_path, "--out", out) == 0
    assert "1 preferences; left out: {'image': 1, 'malformed record': 1}" in capsys.readouterr().out
    (found,) = load_preferences(out)
    assert found.prompt == [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": "Is there a dog?"}],
        }
    ]
    assert (found.chosen, found.rejected, found.image.read()) == ("No.", "Yes.", png())
    left_out = out.with_name("out.parquet.left_out.txt").read_text()
    assert "pope_data.json item 1: image" in left_out
    assert "chosen and rejected are the same text" in left_out


def test_the_record_is_what_trl_takes(tmp_path):
    from datasets import Dataset

    with preference_writer(tmp_path / "p.parquet") as out:
        out.write(preference_row([("user", "What?")], png(), "A cat.", "A dog.", "s", "q"))
    row = Dataset.from_parquet(str(tmp_path / "p.parquet"), cache_dir=str(tmp_path / "cache"))[0]
    assert row["images"][0].size == (8, 8)
    assert [part["type"] for part in row["prompt"][0]["content"]] == ["image", "text"]
    assert row["chosen"] == [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chosen": []}, "chosen must be one turn of the assistant, with text"),
        ({"prompt": []}, "the prompt's turns are \\[\\]"),
        ({"images": []}, "needs one image and one image part, has 0 and 1"),
        ({"images": [{"bytes": b"no"}]}, "the image cannot be read"),
        (
            {"rejected": [{"role": "assistant", "content": [{"type": "text", "text": "<image>"}]}]},
            "stands for an image",
        ),
    ],
)
def test_a_row_that_cannot_be_trained_on_is_named(tmp_path, change, says):
    row = preference_row([("user", "What?")], png(), "A cat.", "A dog.", "s", "q1") | change
    with (
        pytest.raises(UserError, match=rf"row 0 \(q1\): .*{says}"),
        preference_writer(tmp_path / "p.parquet") as out,
    ):
        out.write(row)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_and_an_empty_set_say_what_to_do(tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match=r"no preferences at .*data_prep\.preferences"):
        load_preferences(tmp_path / "none.parquet")
    put(tmp_path / "pope_data.json", [asked(correct=True)])
    assert convert(monkeypatch, "ha_dpo", tmp_path, "--out", tmp_path / "o.parquet") == 1
    assert "no preference can be used, 1 were left out" in capsys.readouterr().err
    assert convert(monkeypatch, "pairs", tmp_path, "--out", tmp_path / "o.parquet") == 1
    assert "run stage one first" in capsys.readouterr().err


@pytest.mark.parametrize("asked_in", ["plain", "claims"])
def test_stage_one_s_pairs_leave_out_the_evaluation(tmp_path, monkeypatch, capsys, asked_in):
    names = ("a", "b", "c", "d")
    write_questions(
        tmp_path / "questions.parquet",
        [
            SourceQuestion(n, "toy", "QA", "Which digit?", n, png(i), "")
            for i, n in enumerate(names)
        ],
    )
    pair = {"dataset": "toy", "better": "A 7.", "worse": "A 1.", "reason": None}
    records = [pair, pair | {"worse": None, "reason": "all true"}, pair, pair]
    for file, lines in (
        ("pairs.jsonl", records),
        ("splits.jsonl", [{"split": s} for s in ("train", "sft", "evaluation", "selection")]),
    ):
        rows = [json.dumps({"question_id": n} | line) for n, line in zip(names, lines, strict=True)]
        (tmp_path / file).write_text("\n".join(rows) + "\n")
    put(tmp_path / "manifest.json", {"config": {"sample": {"prompt": asked_in}}})
    out = tmp_path / "out.parquet"
    assert convert(monkeypatch, "pairs", tmp_path, "--out", out) == 0
    assert "left out: {'all true': 1, 'evaluation': 1, 'selection': 1}" in capsys.readouterr().out
    (found,) = load_preferences(out)
    text = claim_prompt("Which digit?") if asked_in == "claims" else "Which digit?"
    assert found.prompt[0]["content"][1]["text"] == text
    assert (found.question_id, found.chosen, found.rejected) == ("a", "A 7.", "A 1.")
    assert pq.read_table(out).num_rows == 1
