"""The pipeline as a whole: what is done is not done again, what changed is;
bad records are named, the others go on.
"""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import miniature_rlaif_v
import pytest
import scripted
import yaml

from data_prep.datasets import open_dataset, sources
from data_prep.pipeline.config import load_config
from data_prep.pipeline.manifest import Manifest
from data_prep.pipeline.runner import run_steps
from data_prep.pipeline.step_table import STEPS as ALL_STEPS
from data_prep.questions import read_questions
from reward_fns.errors import UserError
from reward_fns.files import read_jsonl
from reward_fns.paper_tables import TABLES_1_AND_4

CONFIGS = sorted((Path(__file__).parents[2] / "data_prep" / "configs").glob("*.yaml"))
STEPS = ("questions", "sample", "verify", "pair", "label", "entities")
FILES = (
    "questions.parquet",
    "candidates.jsonl",
    "votes.jsonl",
    "pairs.jsonl",
    "labels.jsonl",
    "entities.jsonl",
)


@pytest.fixture
def make(tmp_path):
    """Run steps on a scripted dataset; returns the run's directory and the table of counts."""

    def make(n=12, extra=(), steps=STEPS, out="run", overrides=(), **sections):
        folder = tmp_path / "places"
        if not folder.exists():
            scripted.write_dataset(folder, n, extra)
        dataset = {
            "name": "places",
            "kind": "jsonl",
            "root": str(folder),
            "file": "questions.jsonl",
        }
        config = scripted.write_config(tmp_path / "config.yaml", [dataset], **sections)
        return tmp_path / out, run_steps(load_config(config, overrides), tmp_path / out, steps)

    return make


def _records(run, name):
    return {record["question_id"]: record for record in read_jsonl(run / name)}


def _outputs(run):
    return [
        path
        for path in run.rglob("*")
        if path.is_file() and path.name != ".lock" and "cache" not in path.parts
    ]


def _failures(run, step):
    return [(f["place"], f["reason"]) for f in read_jsonl(run / "failures" / f"{step}.jsonl")]


def _steps_run(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [line.split(":")[0] for line in lines if " in, " in line]


def test_every_question_goes_through_every_step(make):
    run, table = make(n=12)
    ids = [f"places/{i}" for i in range(12)]
    for name in FILES[1:-1]:
        assert list(_records(run, name)) == ids, name
    for record in _records(run, "candidates.jsonl").values():
        assert sum(c["count"] for c in record["candidates"]) + record["empty"] == 10
        assert len({c["text"] for c in record["candidates"]}) == len(record["candidates"])
    for row in table.splitlines()[1:]:
        _, n_in, n_out, dropped = row.split()[:4]
        assert int(n_in) == int(n_out) + int(dropped)


def test_a_finished_run_is_left_alone(make, capsys):
    run, _ = make()
    before = {path: path.stat().st_mtime_ns for path in _outputs(run)}
    capsys.readouterr()
    make()
    assert _steps_run(capsys) == []
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize(
    ("override", "redone"),
    [
        ("sample.n=5", ["sample", "verify", "pair", "label", "entities"]),
        ("verify.rule=closed", ["verify", "pair", "label", "entities"]),
        ("pair.batch=3", ["pair"]),  # the same pairs came out
        ("label.concurrency=2", ["label"]),
        ("entities.exclude=[]", ["entities"]),
        ("seed=1", list(STEPS)),
    ],
)
def test_a_changed_setting_redoes_its_step_and_what_depends_on_it(make, capsys, override, redone):
    make()
    capsys.readouterr()
    make(overrides=[override])
    assert _steps_run(capsys) == redone


def test_a_changed_source_and_a_damaged_file_are_noticed(make, capsys, tmp_path):
    run, _ = make()
    capsys.readouterr()
    (run / "votes.jsonl").write_text("")
    make()
    assert _steps_run(capsys)[0] == "verify"
    (tmp_path / "places" / "questions.jsonl").write_text(
        '{"question": "One?", "image": "im0.png"}\n'
    )
    make()
    assert _steps_run(capsys) == list(STEPS)


def _touch(folder):
    for path in folder.iterdir():
        os.utime(path, (1, 1))


def _add_others(folder):
    (folder / "more").mkdir()
    (folder / "more" / "notes.txt").write_text("of no dataset")
    (folder.parent / "jsonl").mkdir()  # named like an option's value


def _add_an_empty_line(folder):
    with (folder / "questions.jsonl").open("a") as file:
        file.write("\n")


def _replace_a_picture(folder):
    (folder / "im0.png").write_bytes(scripted.png(0) + b"more")


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        (_touch, []),  # as a copy of the data set
        (_add_others, []),
        (_add_an_empty_line, ["questions"]),  # the same questions came out
        (_replace_a_picture, ["sample", "verify"]),  # which show it; the same votes came out
    ],
)
def test_what_is_done_again_goes_by_content(make, capsys, tmp_path, monkeypatch, change, redone):
    monkeypatch.chdir(tmp_path)
    make()
    change(tmp_path / "places")
    capsys.readouterr()
    make()
    assert _steps_run(capsys) == redone
    make()
    assert _steps_run(capsys) == []


def test_a_step_is_not_done_on_what_is_out_of_date(make):
    run, _ = make()
    first = (run / "entities.jsonl").read_bytes()
    _, table = make(steps=STEPS[:2], overrides=["sample.n=5"])
    assert [line.split()[0] for line in table.splitlines()] == ["step", *STEPS[:2]]
    with pytest.raises(UserError, match="the step entities needs verify: run it first"):
        make(steps=STEPS[-1:], overrides=["sample.n=5"])
    make()
    assert (run / "entities.jsonl").read_bytes() == first


@pytest.mark.parametrize(
    "changed", ["lost", "gone", "other", "listed"], ids=lambda changed: f"a file {changed}"
)
def test_sources_are_the_same_by_content_alone(tmp_path, changed):
    file, folder, gone = tmp_path / "a.json", tmp_path / "frames", tmp_path / "optional.json"
    file.write_text("first")
    (folder).mkdir()
    (folder / "1.jpg").touch()
    with sources.noting() as noted:
        for path in (file, folder, gone):
            sources.note(path)
    kept = tmp_path / "sources.json"
    sources.save(kept, noted)
    os.utime(file, (1, 1))
    assert sources.unchanged(kept) and sources.unchanged(kept)
    if changed == "lost":
        kept.unlink()
    elif changed == "gone":
        file.unlink()
    elif changed == "other":
        file.write_text("other")
    else:
        (folder / "2.jpg").touch()
        (folder / "1.jpg").unlink()
    assert not sources.unchanged(kept)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path):
    file, kept = tmp_path / "a.json", tmp_path / "sources.json"
    file.write_text("first")
    with sources.noting() as noted:
        sources.note(file)
        file.write_text("second one")
    sources.save(kept, noted)
    assert not sources.unchanged(kept)


def test_the_paper_s_configuration_runs_on_a_miniature_of_rlaif_v(
    tmp_path, tiny_encoder, monkeypatch, capsys
):
    monkeypatch.setenv("DATASETS", str(tmp_path))
    monkeypatch.setenv("MODEL", "unused")
    miniature_rlaif_v.write(tmp_path / "RLAIF-V-Dataset", miniature_rlaif_v.rows())
    shipped = yaml.safe_load((CONFIGS[0].parent / "paper.yaml").read_text(encoding="utf-8"))
    experts = dict.fromkeys(("extractor", "rewriter", "verifier", "judge"), scripted.EXPERT)
    mine = {
        "model": {"kind": "scripted:ScriptedEngine"},
        "label": {"expert": scripted.EXPERT},
        "pair": {"encoder": str(tiny_encoder)},
        "sft": experts,
        "entities": {"extractor": scripted.EXPERT},
    }
    for section, values in mine.items():
        given = shipped.get(section) if isinstance(shipped.get(section), dict) else {}
        shipped[section] = given | values
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(shipped), encoding="utf-8")
    run = tmp_path / "run"
    run_steps(load_config(tmp_path / "paper.yaml"), run, list(ALL_STEPS))
    printed = capsys.readouterr().out
    # Two questions a tag, beside Table 13: 2 - 3,025 for OCR-VQA, 28 - 83,132 in all.
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    assert ["OCR-VQA", "QA", "2", "3025", "-3023"] in cells
    assert ["sharegpt4v-web-celebrity", "Detail", "2", "1895", "-1893"] in cells
    assert ["all", "", "28", "83132", "-83104"] in cells
    questions = list(read_questions(run / "questions.parquet"))
    assert Counter(q.dataset for q in questions) == dict.fromkeys(TABLES_1_AND_4, 2)
    for name in ("rl_train", "test", "sft"):
        assert (run / f"{name}.parquet").is_file()
    assert sum(record["split"] == "evaluation" for record in read_jsonl(run / "splits.jsonl")) > 0


def test_two_runs_with_one_seed_are_identical_and_another_seed_is_not(make):
    first, _ = make()
    second, _ = make(out="again")
    third, _ = make(out="other", overrides=["seed=1"])
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert (first / "candidates.jsonl").read_bytes() != (third / "candidates.jsonl").read_bytes()


def test_bad_records_are_named_and_counted_and_the_others_are_done(make, tmp_path):
    def answers(*options):
        return "answers:" + json.dumps(options)

    extra = [
        "{not json",
        {"question": answers("", " \n"), "question_id": "empty"},
        {"question": answers("", "Oslo"), "question_id": "some-empty"},
        {"question": answers("the same"), "question_id": "equal"},
        {"question": answers("always true 1", "always true 2"), "question_id": "true"},
        {"question": answers("always false 1", "always false 2"), "question_id": "false"},
        {
            "question": answers("always true Žižkov \u2028 \U0001f5fc", "always false 東京"),
            "question_id": "unicode",
        },
        {
            "question": answers("always true LONG", "always true Oslo", "always false Riga"),
            "question_id": "long",
        },
        {"question": answers("LONG"), "question_id": "all-long"},
        {"question": "Lost image?", "image": "nowhere.png", "question_id": "lost"},
        {"question": "Torn image?", "image": "torn.png", "question_id": "torn"},
        {"question": "Twice?", "question_id": "0"},
        {"question": "bad \ud800 unicode", "question_id": "surrogate"},
        {"question": "What moves in <video>?", "question_id": "video"},
        {"question": "What is in <image>?", "question_id": "image"},
        {"question": "A <|image_pad|>?", "question_id": "pad"},
        {"question": "Never ends?", "image": "endless.png", "question_id": "endless"},
    ]  # fmt: skip
    folder = tmp_path / "places"
    scripted.write_dataset(folder, 6, extra)
    (folder / "torn.png").write_bytes(scripted.png()[:120])
    os.mkfifo(folder / "endless.png")

    run, table = make()

    assert [reason for _, reason in _failures(run, "questions")] == [
        "malformed record",
        "question_id stands twice",
        "text that is not valid Unicode",
        *["a mark of the processor in the question"] * 3,
    ]
    assert "line 4" in _failures(run, "questions")[0][0]
    assert _failures(run, "sample") == [
        ("places/empty", "empty answers"),
        ("places/lost", "unreadable image"),
        ("places/torn", "unreadable image"),
        ("places/endless", "unreadable image"),
    ]
    assert _records(run, "candidates.jsonl")["places/some-empty"]["empty"] > 0
    assert _failures(run, "verify") == [("places/all-long", "refused by the model")]
    pairs = _records(run, "pairs.jsonl")
    reasons = {
        name: pairs[f"places/{name}"]["reason"]
        for name in ("equal", "true", "false", "unicode", "long")
    }
    assert reasons == {
        "equal": "all equal",
        "true": "all true",
        "false": "all false",
        "unicode": None,
        "long": None,
    }
    assert pairs["places/unicode"]["better"] == "always true Žižkov \u2028 \U0001f5fc"
    # The long answer could not be voted on, the others could.
    verdicts = {
        v["text"][-5:].strip(): v["verdict"]
        for v in _records(run, "votes.jsonl")["places/long"]["votes"]
    }
    assert verdicts == {"xxxxx": None, "Oslo": True, "Riga": False}
    # 19 lines: 3 rejected, 3 dropped by sampling, 1 by verification.
    manifest = Manifest(run, load_config(tmp_path / "config.yaml"))
    assert {
        name: (manifest.counts(name).n_in, manifest.counts(name).n_out) for name in STEPS[:5]
    } == {
        "questions": (23, 17),
        "sample": (17, 13),
        "verify": (13, 12),
        "pair": (12, 12),
        "label": (12, 12),
    }
    assert "unreadable image" in table


def test_an_expert_that_fails_is_recorded_and_asked_again_next_time(make, tmp_path, capsys):
    pair = 'answers:["always true", "always false fail:500 here"]'
    log, mended = tmp_path / "asked", tmp_path / "mended"
    expert = {"kind": "scripted:ScriptedExpert", "log": str(log), "mended": str(mended)}
    run, _ = make(extra=[{"question": pair, "question_id": "bad"}], label={"expert": expert})
    first = _records(run, "labels.jsonl")
    assert (first["places/bad"]["label"], first["places/bad"]["reason"]) == (None, "expert: 500")
    asked = log.read_text().splitlines()
    assert len(asked) == sum(record["label"] is not None for record in first.values()) + 1

    mended.touch()
    capsys.readouterr()
    make(label={"expert": expert})

    assert _steps_run(capsys) == ["label"]
    second = _records(run, "labels.jsonl")
    assert second["places/bad"]["label"] is not None
    assert {k: v for k, v in second.items() if k != "places/bad"} == {
        k: v for k, v in first.items() if k != "places/bad"
    }
    again = log.read_text().splitlines()[len(asked) :]
    assert len(again) == 1 and again[0] in asked


def test_an_expert_that_always_fails_ends_the_run_and_loses_nothing(make, tmp_path):
    pair = 'answers:["always true", "always false fail:connection here"]'
    extra = [{"question": pair, "question_id": f"bad{i}"} for i in range(30)]
    expert = {"kind": "scripted:ScriptedExpert", "mended": str(tmp_path / "mended")}
    with pytest.raises(UserError, match="failed on 30 requests in a row.*scripted failure"):
        make(n=0, extra=extra, label={"expert": expert})
    (tmp_path / "mended").touch()
    run, _ = make(label={"expert": expert})
    assert (
        sum(record["label"] is not None for record in _records(run, "labels.jsonl").values()) == 30
    )


def test_entities_by_an_expert(make):
    run, _ = make(entities={"extractor": {"kind": "scripted:ScriptedExpert"}})
    for record in _records(run, "entities.jsonl").values():
        # "This is Köln." holds one name, in lower case as `normalise` has it.
        assert record["entities"] == [
            record["text"].removeprefix("This is ").removesuffix(".").casefold()
        ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sample.m=5"], "'m' not in 'SampleConfig'"),
        (["nonsense=1"], "'nonsense' not in 'Config'"),
        (["sample.n=many"], "sample.n"),
        (["sample.n=0"], "n >= 1"),
        (["verify.mode=guess"], "verify.mode is one of"),
        (["label.expert={kind: nobody}"], "unknown expert kind 'nobody'"),
        (["sample"], "an override is key=value"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_it(make, overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        make(overrides=overrides)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_hold_what_the_steps_and_adapters_take(path, monkeypatch, tmp_path):
    monkeypatch.setenv("DATASETS", str(tmp_path))
    monkeypatch.setenv("MODEL", str(tmp_path))
    config = load_config(path)
    for dataset in config.datasets:
        # It is opened far enough to say that its files are missing,
        # which a wrong option would come before.
        with pytest.raises(UserError, match=r"no (file|folder|questions|/)|: unpack it there"):
            next(open_dataset(dataset | {"root": str(tmp_path)}))


def test_a_directory_is_worked_on_by_one_process(make, tmp_path):
    (tmp_path / "run").mkdir()
    command = ["flock", str(tmp_path / "run" / ".lock"), "-c", "echo held; cat"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process works on .*--out"):
            make()
        process.stdin.close()
    make()
