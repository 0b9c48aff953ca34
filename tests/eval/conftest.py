"""Shared: an answer record; records of three models, two protocols and two datasets,
and the report made from them.
"""

import io
import json

import numpy as np
import pytest

from eval.records import AnswerRecord, write_records

ANSWER = "1. The digit is 7. I'm sure.\nConfidence: 0.7"
INJECTION = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
)
"""What an answer, a question or a dataset could hold to get code into a report."""


@pytest.fixture(scope="session")
def make_record():
    def make(question_id="q0", **changes):
        values = {
            "model": "base",
            "protocol": "verbal",
            "dataset": "pocket-digit",
            "task": "QA",
            "question_id": question_id,
            "question": "Which digit?",
            "image_id": "im0",
            "entity": "",
            "response": ANSWER,
            "confidence": 0.7,
            "correct": 1.0,
            "well_formed": True,
            "expert": "oracle",
            "claims": [{"text": "The digit is 7.", "sure": True}],
            "claim_labels": [1],
        }
        return AnswerRecord(**values | changes)

    return make


SUBSETS = ("entailment", "contradiction", "neutral")
N_QUESTIONS = 60


def _records(make_record, model, protocol, shift):
    """Right with probability p, confidence p + shift:
    `shift` is by how much the model is over-confident.
    """
    rng = np.random.default_rng(7)  # the same questions and luck for every model
    records = []
    for i in range(N_QUESTIONS):
        p = rng.uniform(0.2, 0.8)
        right = float(rng.uniform() < p)
        claims = [{"text": f"Fact {i}.", "sure": i % 2 == 0}]
        failed = i == 5
        records.append(
            make_record(
                f"q{i}",
                model=model,
                protocol=protocol,
                dataset="TextVQA" if i % 2 else "pocket-scene",
                task="QA" if i % 2 else "Detail",
                question=f"What is it? {INJECTION if i == 0 else i}",
                subset=SUBSETS[i % 3],
                vote_margin=i / N_QUESTIONS,
                confidence=None if failed else min(max(p + shift, 0.0), 1.0),
                correct=right,
                claims=[] if failed else claims,
                claim_labels=[] if failed else [int(right)],
                response=INJECTION if failed else ANSWER,
            )
        )
    return records


@pytest.fixture(scope="session")
def three_models(make_record):
    """base is over-confident by 0.3, SFT by 0.12, RL by nothing;
    DP is as Verbal but for 0.05 more.
    """
    shifts = {"base": 0.3, "sft": 0.12, "rl": 0.0}
    return {
        (model, protocol): _records(
            make_record, model, protocol, shift + (0.05 if protocol == "dp" else 0)
        )
        for model, shift in shifts.items()
        for protocol in ("verbal", "dp")
    }


@pytest.fixture(scope="session")
def records_directory(three_models, tmp_path_factory):
    directory = tmp_path_factory.mktemp("records")
    for (model, protocol), records in three_models.items():
        write_records(directory / f"{model}.{protocol}.jsonl", records)
        (directory / f"{model}.{protocol}.settings.json").write_text(
            '{"seed": 3, "model_sha256": "0123456789abcdef"}'
        )
    return directory


def png(size, colour=(200, 30, 30)):
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="session")
def questions_parquet(three_models, tmp_path_factory):
    """The questions of `three_models` with images; q1's is large noise."""
    from PIL import Image

    from data_prep.verl_rows import question_writer

    noise = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(noise, "PNG")
    path = tmp_path_factory.mktemp("questions") / "test.parquet"
    with question_writer(path, "bytes") as writer:
        for record in three_models["base", "verbal"]:
            writer.write(
                question_row(
                    record, noise.getvalue() if record.question_id == "q1" else png((32, 32))
                )
            )
    return path


def question_row(record, image):
    return {
        "data_source": record.dataset,
        "prompt": [{"role": "user", "content": f"<image>\n{record.question}"}],
        "images": [{"bytes": image}],
        "ability": record.task,
        "reward_model": {
            "style": "rule",
            "ground_truth": '{"task": "QA", "facts": ["The digit is 7."]}',
        },
        "extra_info": {
            "split": "test",
            "index": int(record.question_id[1:]),
            "question_id": record.question_id,
            "question": record.question,
            "task": record.task,
            "image_id": record.image_id,
            "entity": record.entity,
            "answers": [],
            "subset": record.subset,
            "share_true": None,
            "vote_margin": record.vote_margin,
            "entity_rarity": None,
            "entity_count": None,
        },
    }


def write_hallucination(directory):
    """As that command leaves it: a table with an interval and an empty cell,
    and one operating curve.
    """
    from eval.tables.stored import write_tables
    from eval.tables.table import Column, Interval, Table

    directory.mkdir()
    columns = (Column("model"), Column("mention", "ObjHal", 1, True, "low"), Column("words"))
    rows = (("base", Interval(0.425, 0.382, 0.464), None), ("<b>rl</b>", None, 18.5))
    write_tables(directory / "tables.json", [Table("claims", "Claims", columns, rows, ("Note.",))])
    curve = [
        {"threshold": None, "kept": 1, "rate": 0.4, "recall": 0.6},
        {"threshold": 0.5, "kept": 0.5, "rate": 0.2, "recall": 0.2},
        {"threshold": 0.9, "kept": 0, "rate": None, "recall": 0},
    ]
    models = {"base": {"confidence": {"tag": {"curve": curve}}}, "rl": {"confidence": {}}}
    (directory / "hallucination.json").write_text(json.dumps({"models": models}))
    return directory


@pytest.fixture(scope="session")
def published(records_directory, questions_parquet, tmp_path_factory):
    """Directory of the whole report that the command makes from all of this."""
    from eval.__main__ import main

    made = tmp_path_factory.mktemp("made")
    (made / "stages").mkdir()
    (made / "stages" / "1.json").write_text('{"stage": "sft", "seconds": 12.5}')
    (made / "config.yaml").write_text("seed: 3\nrule: proper\n")
    (made / "coefficients.yaml").write_text(
        "TextVQA: {alpha: 0.7, beta: 1.5, gamma: 1.7, delta: 1.4}\n"
    )
    (made / "curves" / "rl").mkdir(parents=True)
    steps = [
        {"step": s, "data": {"confidence/ece": 0.3 / s, "expert/acc": 0.5}} for s in range(1, 13)
    ]
    (made / "curves" / "rl" / "1.jsonl").write_text(
        "".join(json.dumps(step) + "\n" for step in steps)
    )
    options = [f"--{name}={made / name}" for name in ("stages", "curves")]
    options += [f"--config={made / 'config.yaml'}", f"--coefficients={made / 'coefficients.yaml'}"]
    options += [f"--questions={questions_parquet}", f"--records={records_directory}"]
    options.append(f"--hallucination={write_hallucination(made / 'hallucination')}")
    assert main(["report", f"--out={made / 'out'}", *options]) == 0
    return made / "out"
