"""The files that verl reads, from the records of a run."""

import json

import pytest

from data_prep.questions import SourceQuestion, write_questions
from data_prep.steps import parquet
from data_prep.steps.context import Context
from data_prep.steps.parquet import FILES, SFT_FILES, ParquetConfig
from data_prep.verl_rows import load_questions, read_rows
from reward_fns.claims import claim_prompt, parse_response
from reward_fns.files import read_jsonl

from .scripted import png

FACT = "A red 3 is at the top left."
SPLITS = ("train", "evaluation", "sft")
MEASURED = {"share_true": 0.7, "vote_margin": 0.4, "entity_rarity": 2.5, "entity_count": 1}


def questions(n, image=png):
    return [
        SourceQuestion(
            f"q{i}",
            f"set-{i % 2}",
            "Detail",
            f"What is in picture {i}?",
            f"im{i}",
            image(i),
            "truth",
            ("a",),
        )
        for i in range(n)
    ]


def sft_record(certain=True):
    text = f"1. {FACT} I'm sure.\nConfidence: 0.5"
    return {"text": text, "facts": [{"fact": FACT}], "certain": certain}


def table(path):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.fixture
def step(tmp_path):
    def run(items, changes=None, images="bytes"):
        """The step, with splits that go round train, evaluation, sft;
        `changes` by (file, id), None leaves one out.
        """
        write_questions(tmp_path / "questions.parquet", items)
        rows = {"splits": [], "entities": [], "difficulty": [], "sft": [], "targets": []}
        for i, item in enumerate(items):
            split = SPLITS[i % 3]
            rows["splits"].append((item, {"subset": "contradiction", "split": split}))
            rows["entities"].append((item, {"entities": ["oslo", "riga"]}))
            rows["difficulty"].append((item, MEASURED))
            if split == "sft":
                rows["sft"].append((item, sft_record()))
        for name, records in rows.items():
            kept = [
                (item, (changes or {}).get((name, item.question_id), record))
                for item, record in records
            ]
            lines = [
                {"question_id": item.question_id, "dataset": item.dataset} | r
                for item, r in kept
                if r is not None
            ]
            (tmp_path / f"{name}.jsonl").write_text(
                "".join(json.dumps(line) + "\n" for line in lines)
            )
        context = Context(tmp_path, "parquet", "key", None, records=FILES[0])
        counts = parquet.run(context, parquet.ParquetSettings(images))
        return counts, list(read_jsonl(tmp_path / "failures" / "parquet.jsonl"))

    return run


def test_each_question_goes_to_the_file_of_its_split(step, tmp_path):
    to_selection = {"subset": "neutral", "split": "selection"}
    counts, failures = step(questions(7), {("splits", "q6"): to_selection})
    ids = {
        name: [
            (row["extra_info"]["question_id"], row["extra_info"]["split"])
            for row in read_rows(tmp_path / name)
        ]
        for name in ("rl_train.parquet", "test.parquet", "selection.parquet")
    }
    assert ids == {
        "rl_train.parquet": [("q0", "train"), ("q3", "train")],
        "test.parquet": [("q1", "test"), ("q4", "test")],
        "selection.parquet": [("q6", "selection")],
    }
    for name in SFT_FILES:
        assert [row["question_id"] for row in table(tmp_path / name)] == ["q2", "q5"]
    assert (counts.n_in, counts.n_out, failures) == (7, 7, [])


def test_a_row_of_questions_holds_all_that_reward_and_slices_need(step, tmp_path):
    step(questions(6))
    row = list(read_rows(tmp_path / "rl_train.parquet"))[1]
    asked = claim_prompt("What is in picture 3?")
    assert row["data_source"] == "set-1" and row["ability"] == "Detail"
    assert row["prompt"] == [{"role": "user", "content": f"<image>\n{asked}"}]
    assert row["images"] == [{"bytes": png(3)}]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "truth"}
    assert row["extra_info"] == {
        "split": "train",
        "index": 1,
        "question_id": "q3",
        "question": "What is in picture 3?",
        "task": "Detail",
        "image_id": "im3",
        "entity": "oslo",
        "answers": ["a"],
        "subset": "contradiction",
        **MEASURED,
    }


def test_sft_and_r_tuning_have_the_same_prompt_and_say_the_same_facts(step, tmp_path):
    step(questions(6), {("sft", "q5"): sft_record(certain=False)})
    ours, theirs = (table(tmp_path / name) for name in SFT_FILES)
    assert [row["messages"][0] for row in ours] == [row["messages"][0] for row in theirs]
    said = [parse_response(row["messages"][1]["content"]) for row in theirs]
    assert [[claim.text for claim in parsed.claims] for parsed in said] == [[FACT], [FACT]]
    assert [parsed.claims[0].sure for parsed in said] == [True, False]
    assert [parsed.defects for parsed in said] == [("no_confidence",)] * 2


def test_an_answer_that_nobody_judged_is_not_in_r_tuning(step, tmp_path):
    counts, _ = step(questions(6), {("sft", "q2"): sft_record(certain=None)})
    assert [row["question_id"] for row in table(tmp_path / "r_tuning.parquet")] == ["q5"]
    assert len(table(tmp_path / "sft.parquet")) == 2
    assert counts.notes == {"no R-Tuning: not judged": 1} and counts.n_out == 6


def test_what_was_not_measured_is_null_and_what_has_no_split_is_not_there(step, tmp_path):
    changes = {("splits", "q0"): None, ("entities", "q3"): None, ("difficulty", "q3"): None}
    counts, _ = step(questions(6), changes)
    (question,) = load_questions(tmp_path / "rl_train.parquet")
    assert (question.entity, question.share_true, question.entity_count) == ("", None, None)
    assert counts.n_in == 5


def test_a_question_that_cannot_be_written_is_named_and_the_others_are(step, tmp_path):
    items = questions(6)
    items[0] = SourceQuestion("q0", "set-0", "Detail", "What?", "im0", b"torn", "truth")
    items[1] = SourceQuestion("q1", "set-1", "Detail", "What is <image>?", "im1", png(1), "truth")
    counts, failures = step(items, {("sft", "q2"): None})
    assert [(failure["place"], failure["reason"]) for failure in failures] == [
        ("q0", "unreadable image"),
        ("q1", "row breaks the schema"),
        ("q2", "no SFT record"),
    ]
    assert (counts.n_in, counts.n_out) == (6, 3)
    assert [q.question_id for q in load_questions(tmp_path / "test.parquet")] == ["q4"]


def test_images_by_reference(step, tmp_path):
    def on_disk(i):
        path = tmp_path / f"{i}.png"
        path.write_bytes(png(i))
        return path

    items = questions(6, on_disk)
    items[3] = questions(4)[3]  # an image that is in no file
    _, (failure,) = step(items, images="reference")
    (row,) = read_rows(tmp_path / "rl_train.parquet")
    assert row["images"] == [{"image": str((tmp_path / "0.png").resolve())}]
    assert load_questions(tmp_path / "rl_train.parquet")[0].image == png(0)
    assert failure["place"] == "q3" and "parquet.images=bytes" in failure["detail"]


def test_the_same_records_give_the_same_bytes(step, tmp_path):
    step(questions(9))
    before = [(tmp_path / name).read_bytes() for name in FILES]
    step(questions(9))
    assert [(tmp_path / name).read_bytes() for name in FILES] == before


def test_an_unknown_way_to_keep_images_is_refused():
    with pytest.raises(ValueError, match="bytes, reference"):
        ParquetConfig("link")
