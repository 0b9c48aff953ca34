"""`python -m eval hallucination` on miniature benchmarks, with a judge that fails,
and after a kill.
"""

import base64
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hanging_server import HangingServer
from judge_server import ISSUE_FAULTS, JudgeServer, material
from PIL import Image
from scripted_model import ScriptedModel

from eval.__main__ import main
from eval.benchmarks import judged
from reward_fns.files import alone_in

REPOSITORY = Path(__file__).parents[3]


def png():
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    return content.getvalue()


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value) if isinstance(value, bytes) else path.write_text(json.dumps(value))


ANSWERS = {
    "Describe image 1.": "1. A man walks a dog. I'm sure.\n2. A cat sits. I'm not sure.\n"
    "Confidence: 0.7",
    "Describe image 2.": "1. A car is parked. I'm sure.\nConfidence: 0.9",
    "Is there a dog in the image?": "Yes",
    "Is there a cat in the image?": "There is a cat.",
    **{f"Question {i}?": f"1. Answer {i}. I'm sure.\nConfidence: 0.5" for i in range(12)},
}


def miniature(out, questions=12):
    """COCO with a dog and a man in image 1 and a car in image 2; POPE;
    MMHal, every third answer as the reference.
    """
    lines = [
        {"org_idx": i, "image_id": i, "question": f"Describe image {i}."}
        | {"image": base64.b64encode(png()).decode()}
        for i in (1, 2)
    ]
    write(out / "objhal" / "questions.jsonl", "\n".join(map(json.dumps, lines)).encode())
    instances = {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [{"image_id": 1, "category_id": 18}, {"image_id": 2, "category_id": 3}],
    }
    captions = {"annotations": [{"image_id": 1, "caption": "A man walks a puppy."}]}
    write(out / "objhal" / "annotations" / "instances_val2014.json", instances)
    write(out / "objhal" / "annotations" / "captions_val2014.json", captions)
    pope = [
        {"question_id": 1, "image": "a.png", "label": "yes"} | {"text": list(ANSWERS)[2]},
        {"question_id": 2, "image": "a.png", "label": "no"} | {"text": list(ANSWERS)[3]},
    ]
    write(out / "pope" / "coco_pope_random.json", pope)
    write(out / "pope" / "images" / "a.png", png())
    mmhal = [
        {"question_type": "even" if i % 2 == 0 else "odd", "image_id": f"i{i}"}
        | {"image_src": f"https://host/{i}.png", "image_content": ["Dog"]}
        | {"question": f"Question {i}?", "gt_answer": f"Answer {i if i % 3 == 0 else 'x'}."}
        for i in range(questions)
    ]
    write(out / "mmhal" / "template.json", mmhal)
    for i in range(questions):
        write(out / "mmhal" / "images" / f"{i}.png", png())
    write(out / "answers.json", ANSWERS)
    return out


def rate(prompt):
    """6 for the reference's words, else 0; the judge sees no tag and no number."""
    given = material(prompt)
    assert "sure" not in given["answer"] and "Confidence" not in given["answer"]
    return {"score": 6 if given["answer"] == given["reference"] else 0}


def command(data, out, server, *more, kinds=("objhal", "pope", "mmhal")):
    model = {"kind": "scripted_model:ScriptedModel", "answers": str(data / "answers.json")}
    judge = {"kind": "openai", "model": "judge", "base_url": server.url}
    judge |= {"timeout": 1, "backoff": 0.01, "concurrency": 4, "max_retries": 12, "lease": 1}
    return [
        *("hallucination", "--models", f"sft={json.dumps(model)}", "--benchmarks"),
        *(f"{kind}={data / kind}" for kind in kinds),
        *("--judge", json.dumps(judge), "--out", str(out), *more),
    ]


def found(out):
    return json.loads((out / "hallucination.json").read_text())["models"]["sft"]


def test_the_numbers_by_hand_through_faults_and_a_rerun_that_pays_nothing(tmp_path, capsys):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    ScriptedModel.asked.clear()
    with JudgeServer(reply=rate, faults=ISSUE_FAULTS, hang=2) as server:
        arguments = command(data, out, server, "--views", "asserted", "hedged")
        assert main(arguments) == 0
        assert set(server.answers.values()) == {1} and len(server.answers) == 12
        asked, calls = len(ScriptedModel.asked), server.total
        assert main(arguments) == 0
        assert (len(ScriptedModel.asked), server.total) == (asked, calls)
    assert asked == 2 + 2 + 12
    scores = found(out)
    asserted, hedged = (scores["views"][view] for view in ("asserted", "hedged"))
    # person, dog, cat and car mentioned; the cat is not there; 3 objects in truth
    assert asserted["objhal"]["response_rate"]["value"] == 1 / 2
    assert asserted["objhal"]["mention_rate"]["value"] == 1 / 4
    assert asserted["objhal"]["recall"]["value"] == 1
    # the cat was a guess
    assert hedged["objhal"]["mention_rate"]["value"] == 0
    # 0, 3, 6 and 9 of 12 have the reference's words
    assert asserted["mmhal"]["score"]["value"] == 4 * 6 / 12
    assert asserted["mmhal"]["hallucination_rate"]["value"] == 8 / 12
    assert asserted["mmhal_types"]["odd"]["score"]["value"] == 2 * 6 / 6  # 3 and 9 of 6
    assert asserted["judges"][0].startswith("judge-2026, prompt ")
    assert scores["yes_no"]["pope random"]["accuracy"]["value"] == 1 / 2
    # of four mentions' claims: sure ones are right, the unsure one is not
    tags = scores["confidence"]["tag"]
    assert tags["calibration"]["hallucinated_when_sure"]["value"] == 0
    assert tags["calibration"]["hallucinated_when_unsure"]["value"] == 1
    assert "tag_probability" not in scores["confidence"]
    assert [(p["threshold"], p["rate"], p["recall"]) for p in tags["curve"]] == [
        (None, 1 / 4, 1),
        (0, 1 / 4, 1),
        (1, 0, 1),
    ]
    assert (out / "operating_curve.png").stat().st_size > 1000
    assert "SFT (paper: SFT-LLaVA)" in capsys.readouterr().out


def test_reported_and_measured_rows_are_told_apart(tmp_path):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    with JudgeServer(reply=rate) as server:
        arguments = command(data, out, server, kinds=("objhal",))
        twin = arguments[2].removeprefix("sft=")
        assert main([*arguments[:3], f"twin={twin}", *arguments[3:]]) == 0
        assert server.total == 0
    with (out / "hallucination.csv").open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert [row["source"] for row in rows] == ["reported"] * 11 + ["measured"] * 2
    assert rows[9]["model"] == "Base-SFT" and float(rows[9]["ObjHal: response"]) == 0.0733
    stored = json.loads((out / "hallucination.json").read_text())
    numbers = {"ObjHal response", "ObjHal mention", "ObjHal recall"}
    assert {one["number"] for one in stored["differences"]} == numbers
    assert {(one["model"], one["against"]) for one in stored["differences"]} == {("twin", "sft")}
    assert all(one["difference"]["value"] == 0 for one in stored["differences"])
    assert "outcomes" not in stored["models"]["sft"]
    names = [table["name"] for table in json.loads((out / "tables.json").read_text())["tables"]]
    assert names[:2] == ["hallucination", "differences"]
    (pair,) = stored["pairs"]
    assert pair == {
        "first": "sft",
        "second": "twin",
        "gain": {"value": 0, "low": 0, "high": 0},  # the same answers
    }


def test_amber_needs_no_judge(tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    files = {
        "query_generative": [{"id": 1, "image": "1.jpg", "query": "Describe this image."}],
        "query_discriminative": [{"id": 2, "image": "1.jpg", "query": "Is there a dog?"}],
        "annotations": [
            {"id": 1, "type": "generative", "truth": ["sky", "dog"], "hallu": ["cat"]},
            {"id": 2, "type": "discriminative-hallucination", "truth": "no"},
        ],
        "relation": {"sky": [], "dog": ["puppy"], "cat": []},
    }
    for name, content in files.items():
        write(data / "amber" / f"{name}.json", content)
    write(data / "amber" / "safe_words.txt", b"light")
    write(data / "amber" / "image" / "1.jpg", png())
    answers = {"Describe this image.": "A puppy and a cat.", "Is there a dog?": "Yes"}
    write(data / "answers.json", answers)
    with JudgeServer() as server:
        assert main(command(data, out, server, kinds=("amber",))) == 0
        assert server.total == 0
    amber = found(out)["views"]["asserted"]["amber"]
    # of puppy and cat the cat is not there, and likely; of sky and dog the dog is told
    values = {name: rate["value"] for name, rate in amber.items()}
    assert values == {"chair": 1 / 2, "cover": 1 / 2, "hal": 1, "cog": 1 / 2}
    assert found(out)["yes_no"]["amber existence"]["accuracy"]["value"] == 0


@pytest.mark.parametrize(
    "response", ["", "1. Nothing. I'm sure.\nConfidence: 0.5", "1. A dog"], ids=str.split
)
def test_a_model_that_says_nothing_is_scored_too(tmp_path, response):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    write(data / "answers.json", dict.fromkeys(ANSWERS, response))
    with JudgeServer() as server:
        assert main(command(data, out, server, kinds=("objhal", "pope"))) == 0
    scores = found(out)
    mentions = 2 if "dog" in response else 0
    assert scores["views"]["asserted"]["objhal"]["mentions"]["numerator"] == mentions
    assert scores["yes_no"]["pope all"]["unreadable"] == 2


def test_an_unreadable_rating_is_kept_and_not_paid_for_again(tmp_path):
    data, out = miniature(tmp_path / "data", questions=2), tmp_path / "out"

    def reply(prompt):
        return rate(prompt) if "Question 0" in prompt else "a fine answer: 4"

    with JudgeServer(reply=reply) as server:
        arguments = command(data, out, server, kinds=("mmhal",))
        place = arguments.index("--judge") + 1
        arguments[place] = json.dumps(json.loads(arguments[place]) | {"max_retries": 2})
        assert main(arguments) == 0
        calls = server.total
        assert calls == 1 + 3
        scores = found(out)["views"]["asserted"]["mmhal"]
        assert (scores["score"]["value"], scores["unreadable"]) == (6, 1)
        assert main([*arguments, "--unreadable", "paper"]) == 0
        assert server.total == calls
    scores = found(out)["views"]["asserted"]["mmhal"]
    assert (scores["score"]["value"], scores["hallucination_rate"]["value"]) == (3, 1 / 2)


def test_a_refusal_is_counted_apart_too(tmp_path):
    data, out = miniature(tmp_path / "data", questions=2), tmp_path / "out"
    with JudgeServer(reply=lambda prompt: "", message={"refusal": "I will not."}) as server:
        assert main(command(data, out, server, kinds=("mmhal",))) == 0
        assert server.total == 2
    scores = found(out)["views"]["asserted"]["mmhal"]
    assert scores["unreadable"] == 2 and scores["score"]["value"] is None


def test_a_higher_limit_asks_only_for_the_rest(tmp_path):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    with JudgeServer(reply=rate) as server:
        for limit, asked in (("4", 4), ("6", 2)):
            ScriptedModel.asked.clear()
            calls = server.answers.total()
            arguments = command(data, out, server, "--limit", limit, kinds=("mmhal",))
            assert main(arguments) == 0
            assert len(ScriptedModel.asked) == server.answers.total() - calls == asked
    assert found(out)["views"]["asserted"]["mmhal"]["score"]["denominator"] == 6


def test_another_server_of_the_judge_judges_all_anew(tmp_path, capsys):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    with JudgeServer(reply=rate) as first, JudgeServer(reply=rate) as second:
        for server in (first, second):
            assert main(command(data, out, server, kinds=("mmhal",))) == 0
        assert first.answers.total() == second.answers.total() == 12
    assert "made with another judged_by, now in" in capsys.readouterr().out


def test_the_judge_may_find_the_objects(tmp_path):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    first, second = ["two Men", "a puppy", "sky"], ["red buses"]

    def reply(prompt):
        return {"objects": first if "man" in material(prompt)["description,"] else second}

    with JudgeServer(reply=reply) as server:
        assert main(command(data, out, server, "--objects", "judge", kinds=("objhal",))) == 0
        assert server.total == 2
    view = found(out)["views"]["asserted"]
    assert view["objects_by"].startswith("judge-2026, prompt ") and view["objects_unread"] == 0
    scores = view["objhal"]
    # man and dog are there, the bus is not; the sky is no object
    assert scores["mentions"]["value"] == 3 / 2
    assert scores["mention_rate"]["value"] == 1 / 3


def test_a_failing_judge_loses_nothing_and_is_named(tmp_path, capsys, monkeypatch):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    monkeypatch.setattr(judged, "BATCH", 4)
    with JudgeServer(reply=rate) as server:
        arguments = command(data, out, server, kinds=("mmhal",))
        refused = [*arguments]
        place = refused.index("--judge") + 1
        refused[place] = json.dumps(json.loads(refused[place]) | {"max_calls": 5})
        assert main(refused) == 1
        assert "run the same command again for the rest" in capsys.readouterr().err
        assert server.answers.total() == 5
        assert main(arguments) == 0
        assert server.answers.total() == len(server.answers) == 12


PROGRAM = """
import sys
from eval.benchmarks import judged
judged.BATCH = 2
from eval.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_kill_loses_nothing(tmp_path):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    places = [str(REPOSITORY), str(REPOSITORY / "tests" / "servers")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    with JudgeServer(reply=rate, latency=0.3) as server:
        arguments = command(data, out, server, kinds=("mmhal",))
        run = [sys.executable, "-c", PROGRAM, *arguments]
        process = subprocess.Popen(run, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while server.answers.total() < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert 5 <= server.answers.total() < 12
        ScriptedModel.asked.clear()
        assert main(arguments) == 0
        assert ScriptedModel.asked == []
        # what was in flight at the kill may have been answered twice
        assert len(server.answers) == 12 and server.answers.total() <= 12 + 2
    assert found(out)["views"]["asserted"]["mmhal"]["score"]["value"] == 4 * 6 / 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, d: [*a[: a.index("--judge")], *a[a.index("--judge") + 2 :]], "need a judge"),
        (lambda a, d: [x.replace("pope=", "pop=") for x in a], "no benchmark 'pop'"),
        (lambda a, d: [x + "x" if x.startswith("pope=") else x for x in a], "no directory"),
        (lambda a, d: (d / "mmhal/images/3.png").unlink() or a, "no image 3.png"),
        (lambda a, d: write(d / "objhal/b.jsonl", {}) or a, "needs exactly one"),
        (lambda a, d: [*a, "--temperature", "-1"], "temperature must be at least 0"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(tmp_path, capsys, change, message):
    data = miniature(tmp_path / "data")
    ScriptedModel.asked.clear()
    with JudgeServer(reply=rate) as server:
        arguments = change(command(data, tmp_path / "out", server), data)
        assert main(arguments) == 1
        assert server.total == 0
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert ScriptedModel.asked == []


def test_the_pocket_model_on_the_pocket_benchmarks(tmp_path):
    make = ["data_prep.pocket", "benchmarks", "--out", str(tmp_path), "-n", "12"]
    subprocess.run([sys.executable, "-m", *make], check=True, cwd=REPOSITORY, timeout=60)
    pocket = REPOSITORY / "data_prep" / "pocket" / "base_model"
    model = json.dumps({"kind": "transformers", "model": str(pocket)})
    kinds = [f"{kind}={tmp_path / kind}" for kind in ("objhal", "mmhal", "pope")]
    arguments = ["--judge", "data_prep.pocket.roles:PocketExpert", "--max-tokens", "64"]
    arguments += ["--out", str(tmp_path / "out")]
    assert (
        main(["hallucination", "--models", f"base={model}", "--benchmarks", *kinds, *arguments])
        == 0
    )
    scores = json.loads((tmp_path / "out" / "hallucination.json").read_text())["models"]["base"]
    view = scores["views"]["asserted"]
    assert 0 < view["objhal"]["mention_rate"]["value"] < 1
    assert view["objhal"]["recall"]["value"] > 0.3  # it describes what is there, if not well
    assert view["mmhal"]["unreadable"] == 0 and len(view["mmhal_types"]) == 6
    assert scores["yes_no"]["pope all"]["unreadable"] == 0
    assert scores["confidence"]["tag_probability"]["calibration"]["unread"] == 0


def cut_off(prompt):
    """A judge whose reply to the first question does not come to an end."""
    return "so long that" if "Question 0" in prompt else rate(prompt)


def test_one_answer_that_the_judge_never_rates_blocks_nothing(tmp_path):
    data, out = miniature(tmp_path / "data", questions=3), tmp_path / "out"
    with JudgeServer(reply=cut_off, finish="length") as server:
        arguments = command(data, out, server, kinds=("mmhal",))
        assert main(arguments) == 0
        assert main(arguments) == 0
        assert server.answers.total() == 3
    scores = found(out)["views"]["asserted"]["mmhal"]
    assert scores["unreadable"] == 1 and scores["score"]["denominator"] == 2
    kept = (out / "sft.mmhal_asserted_ratings.jsonl").read_text().splitlines()
    assert [json.loads(line).get("reason") for line in kept].count("length") == 1


def test_a_judge_that_rates_nothing_has_wrong_options_and_is_asked_again(tmp_path, capsys):
    data, out = miniature(tmp_path / "data", questions=3), tmp_path / "out"
    with JudgeServer(reply=lambda prompt: "so long that", finish="length") as server:
        arguments = command(data, out, server, kinds=("mmhal",))
        assert main(arguments) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert "no verdict on any of 3" in said and "raise max_completion_tokens" in said
        server.reply = rate
        assert main(arguments) == 0
    assert found(out)["views"]["asserted"]["mmhal"]["unreadable"] == 0


def test_a_broken_record_is_left_out_of_all_numbers_and_counted(tmp_path, capsys):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    (data / "mmhal" / "images" / "3.png").write_bytes(b"<html>")
    with JudgeServer(reply=rate) as server:
        assert main(command(data, out, server, kinds=("mmhal",))) == 0
        assert server.answers.total() == 11
    assert found(out)["views"]["asserted"]["mmhal"]["score"]["denominator"] == 11
    (named,) = json.loads((out / "hallucination.json").read_text())["left_out"]["mmhal"]
    assert "record 3: its image cannot be read" in named
    assert "1 of mmhal" in (out / "hallucination.md").read_text()
    assert "mmhal: 1 broken records are left out" in capsys.readouterr().out


def test_a_directory_is_evaluated_into_by_one_process(tmp_path, capsys):
    data, out = miniature(tmp_path / "data"), tmp_path / "out"
    ScriptedModel.asked.clear()
    with JudgeServer(reply=rate) as server, alone_in(out):
        assert main(command(data, out, server)) == 1
        assert server.total == 0 and ScriptedModel.asked == []
    assert "works on" in capsys.readouterr().err


@pytest.fixture
def hanging():
    with HangingServer() as server:
        yield server


@pytest.mark.parametrize("asked", ["the model", "the judge"])
def test_one_interrupt_ends_it_while_a_server_hangs(tmp_path, hanging, asked):
    data, out = miniature(tmp_path / "data", questions=2), tmp_path / "out"
    arguments = command(data, out, hanging, kinds=("mmhal",))
    place = arguments.index("--judge") + 1
    arguments[place] = json.dumps(json.loads(arguments[place]) | {"timeout": 60})
    if asked == "the model":
        arguments[2] = f"m={json.dumps({'kind': 'openai', 'model': 'm', 'base_url': hanging.url})}"
    places = [str(REPOSITORY), str(REPOSITORY / "tests" / "servers")]
    process = subprocess.Popen(
        [sys.executable, "-m", "eval", *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert hanging.asked.wait(300), process.communicate(timeout=5)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        # Far below any timeout of a request; the rest is room for a busy machine.
        told, _ = process.communicate(timeout=25)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted: the same command goes on where it stopped"
    assert "Traceback" not in told
