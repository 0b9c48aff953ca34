"""From specs to record files with a scripted engine: what is reused, set aside, judged,
and what a kill leaves.
"""

import json
import os

import pytest

from data_prep.engines import Completion, NoLogprobs, Token
from eval.__main__ import main
from eval.asking import answers, make_records
from eval.records import load_records, read_answers, read_records
from reward_fns.errors import UserError
from reward_fns.expert import AnswerVerdict, ExpertError, Source
from reward_fns.files import alone_in

RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 0.7"
ANSWERS = {
    "q0": RIGHT,
    "q1": "1. The digit is 1. I'm not sure.\nConfidence: 0.2",
    "q2": "1. The digit is 7. I'm sure.",  # no confidence: a parse failure, yet right
    "q3": "seven",  # no list: judged as a whole, and wrong
}


def files_of(folder):
    """All but the lock, which says since when it is held."""
    return [path for path in folder.iterdir() if path.is_file() and path.name != ".lock"]


class Engine:
    """A model of fingerprint SPEC.

    It reads which question it is asked off the image, in `images`.
    """

    log: list[tuple[str, int]] = []
    images: dict[bytes, str] = {}
    answers: dict[str, str] = {}

    def __init__(self, spec):
        self.fingerprint = spec

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def generate(self, requests, sampling):
        self.log.append((self.fingerprint, len(requests)))
        return [[Completion(self.reply(r))] * sampling.n for r in requests]

    def reply(self, request):
        text = request.messages[-1]["content"][-1]["text"]
        if text.startswith("How likely"):
            return "0.4"
        return self.answers[self.images[request.image]].replace("digit", self.fingerprint)


@pytest.fixture
def questions(question_rows, write_questions, monkeypatch):
    rows = question_rows(4)
    monkeypatch.setattr(Engine, "log", [])
    monkeypatch.setattr(Engine, "answers", dict(ANSWERS))
    monkeypatch.setattr(
        Engine, "images", {r["images"][0]["bytes"]: r["extra_info"]["question_id"] for r in rows}
    )
    monkeypatch.setattr(make_records, "open_engine", lambda spec, cache: Engine(spec))
    return write_questions(rows)


@pytest.fixture
def run(tmp_path, questions):
    def command(*models, options=(), expect=0):
        specs = [part for model in models for part in ("--model", model)]
        out = tmp_path / "records"
        arguments = ["calibration", *specs, "--questions", str(questions), "--out", str(out)]
        if "--protocols" not in options:
            options = (*options, "--protocols", "verbal", "verbal_asked")
        assert main([*arguments, *options]) == expect
        return out

    return command


def without_logprobs(monkeypatch):
    """The engine of a server that gives none."""
    generate = Engine.generate

    def refuse(self, requests, sampling):
        if sampling.top_logprobs:
            raise NoLogprobs("the server gives no log-probabilities")
        return generate(self, requests, sampling)

    monkeypatch.setattr(Engine, "generate", refuse)


def names(directory):
    return {path.name for path in directory.iterdir() if path.is_file()} - {".lock"}


def whole(*stems):
    return {f"{stem}.{end}" for stem in stems for end in ("jsonl", "settings.json")}


BASE = whole("base.answers", "base.verbal", "base.verbal_asked")


def set_aside(out):
    return sorted(path.name for path in (out / "old").rglob("*") if path.is_file())


def test_one_set_of_answers_serves_all_protocols(run, capsys):
    out = run("base=digit")
    assert names(out) == BASE and Engine.log == [("digit", 4), ("digit", 4)]
    read = read_answers(out / "base.answers.jsonl")
    assert [a.response for a in read] == list(ANSWERS.values()) and [a.correct for a in read] == [
        1,
        0,
        1,
        0,
    ]
    assert [a.claim_labels for a in read] == [[1], [0], [1], []] and {a.expert for a in read} == {
        "oracle"
    }
    assert (
        read[0].claims == [{"text": "The digit is 7.", "sure": True}]
        and "no_confidence" in read[2].defects
    )
    verbal = read_records(out / "base.verbal.jsonl")
    assert [r.confidence for r in verbal] == [0.7, 0.2, None, None] and {
        r.protocol for r in verbal
    } == {"verbal"}
    assert [r.confidence for r in read_records(out / "base.verbal_asked.jsonl")] == [0.4] * 4
    assert "2 of the new ones without a confidence that can be read" in capsys.readouterr().out


def test_a_further_protocol_asks_only_for_itself(run):
    run("base=digit", options=("--protocols", "verbal"))
    out = run("base=digit")
    assert (
        Engine.log == [("digit", 4), ("digit", 4)]
        and names(out) == BASE
        and not (out / "old").exists()
    )


def test_nothing_is_asked_twice(run):
    out = run(
        "base=digit", options=("--temperature", "1e-05")
    )  # YAML would read this number as text
    before = {path: path.read_bytes() for path in files_of(out)}
    run("base=digit", options=("--temperature", "1e-05"))
    assert len(Engine.log) == 2 and {path: path.read_bytes() for path in before} == before


def test_a_retrained_model_is_asked_anew_and_the_others_are_reused(run, capsys):
    out = run("base=digit", "rl=number")
    run("base=digit", "rl=numeral")
    assert Engine.log == [
        (m, 4) for m in ("digit", "digit", "number", "number", "numeral", "numeral")
    ]
    assert "numeral" in read_answers(out / "rl.answers.jsonl")[0].response
    assert json.loads((out / "rl.answers.settings.json").read_text())["model_sha256"] == "numeral"
    assert set(set_aside(out)) == whole("rl.answers", "rl.verbal", "rl.verbal_asked")
    lines = [line for line in capsys.readouterr().out.splitlines() if "made with another" in line]
    assert len(lines) == 3 and "another model_sha256" in lines[0]


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--seed", "1", "seed"),
        ("--temperature", "0", "temperature"),
        ("--max-tokens", "9", "max_tokens"),
        ("--samples", "3", "samples"),
        ("--limit", "1", "limit"),
        ("--correctness", "dataset", "correctness"),
    ],
)
def test_other_settings_set_answers_and_confidences_aside(run, capsys, option, value, name):
    out = run("base=digit")
    run("base=digit", options=(option, value))
    assert f"made with another {name}, now in" in capsys.readouterr().out
    assert names(out) == BASE and "base.answers.jsonl" in set_aside(out)


def test_samples_are_answers_of_their_own(run):
    out = run("base=digit", options=("--samples", "2"))
    keys = [r.key for r in load_records(out) if r.protocol == "verbal"]
    assert keys == [f"q{i}#{sample}" for i in range(4) for sample in (0, 1)]


def keep_partial(file, n_lines, torn=0):
    """What a kill leaves after so many lines and characters of the next."""
    lines = file.read_text().splitlines(keepends=True)
    file.unlink()
    file.with_name(file.name + ".partial").write_text(
        "".join(lines[:n_lines]) + lines[n_lines][:torn]
    )


@pytest.mark.parametrize("stem", ["base.answers", "base.verbal_asked"])
def test_a_killed_run_goes_on_and_ends_in_the_same_files(run, monkeypatch, stem):
    monkeypatch.setattr(answers, "BATCH", 2)
    out = run("base=digit")
    before = {path: path.read_bytes() for path in files_of(out)}
    keep_partial(out / f"{stem}.jsonl", 1, torn=30)
    Engine.log.clear()
    run("base=digit")
    assert {path: path.read_bytes() for path in files_of(out)} == before
    # whole batches are asked again, so that a resume batches as the first run did
    assert Engine.log == [("digit", 2), ("digit", 2)]


def test_records_without_settings_are_not_trusted(run, capsys):
    out = run("base=digit")
    (out / "base.answers.settings.json").unlink()
    run("base=digit")
    assert "made with unknown settings" in capsys.readouterr().out and set_aside(out) == [
        "base.answers.jsonl"
    ]


class Failing:
    """An expert that has no verdict on some answers."""

    name = "failing"
    fail_on = "digit is 1"

    async def ask(self, request):
        if self.fail_on in request.response:
            raise ExpertError("no verdict today")
        return AnswerVerdict((1,) * len(request.claims), 1.0, Source("judge-1", "p1"))


def test_an_expert_failure_is_never_scored_and_the_next_run_asks_for_it(run, monkeypatch, capsys):
    monkeypatch.setattr(make_records, "make_expert", lambda config: Failing())
    out = run("base=digit", expect=1)
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        error.startswith("error: the expert failing failed on 1 of 4 answers of base")
        and "no verdict" in error
    )
    assert names(out) == {"base.answers.jsonl.partial", "base.answers.settings.json"}
    monkeypatch.setattr(Failing, "fail_on", "nothing")
    run("base=digit")
    read = read_answers(out / "base.answers.jsonl")
    assert {a.question_id for a in read} == set(ANSWERS) and len(read) == 4
    assert {(a.expert, a.expert_version) for a in read if a.claims} == {("judge-1", "p1")}


def test_dataset_rules_judge_what_has_references(
    question_rows, write_questions, run, tmp_path, monkeypatch
):
    rows = question_rows(4)
    for row in rows:
        row["data_source"] = "GQA"
        row["extra_info"]["answers"] = ["7"] if row["extra_info"]["index"] < 3 else []
    write_questions(rows)
    monkeypatch.setattr(
        Engine, "answers", {**ANSWERS, "q0": "1. 7. I'm sure.\nConfidence: 0.9", "q1": "7"}
    )
    out = run("base=digit", options=("--correctness", "dataset"))
    read = read_answers(out / "base.answers.jsonl")
    # "The digit is 7." equals no reference; q3 has none and goes to the expert
    assert [a.correct for a in read] == [1, 1, 0, 0]
    assert [a.expert for a in read] == ["rule exact_match"] * 3 + ["oracle"] and read[
        0
    ].claim_labels == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--protocols", "vcp"), "no protocol 'vcp'; there are dp, dp_end"),
        (("--temperature", "-1"), "temperature must be at least 0"),
        (("--expert", "nobody"), "unknown expert kind 'nobody'"),
    ],
)
def test_bad_input_is_one_line(run, capsys, options, message):
    run("base=digit", options=options, expect=1)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_an_oracle_that_cannot_read_a_reference_is_found_out_before_any_answer(
    run, question_rows, write_questions, capsys
):
    rows = question_rows(4)
    rows[2]["reward_model"]["ground_truth"] = "seven"
    write_questions(rows)
    run("base=digit", expect=1)
    error = capsys.readouterr().err
    assert rows[2]["extra_info"]["question_id"] in error and "name a judge" in error
    assert Engine.log == []


def test_an_out_that_is_a_file_is_one_line(run, tmp_path, capsys):
    (tmp_path / "records").write_text("")
    run("base=digit", expect=1)
    assert "is a file: name a directory" in capsys.readouterr().err


def test_models_need_names_of_their_own(run, capsys):
    run("base=a", "base=b", expect=1)
    assert "same name" in capsys.readouterr().err
    for bad in ("base", "a b=x", "base@x=y"):
        with pytest.raises(SystemExit):
            run(bad)
    assert names(run("rl@20=digit")) >= whole("rl@20.answers")


def test_confidences_of_other_answers_are_refused_with_the_command_that_mends_them(
    run, monkeypatch
):
    """The model is asked anew with another seed, and one of its protocols only:
    the other's file is stale.
    """
    out = run("base=digit")
    load_records(out)
    monkeypatch.setattr(Engine, "answers", ANSWERS | {"q3": RIGHT})
    run("base=digit", options=("--protocols", "verbal", "--seed", "5"))
    with pytest.raises(UserError, match=r"base.verbal_asked.jsonl.*made again.*--protocols"):
        load_records(out)
    run("base=digit", options=("--seed", "5"))
    assert len({record.protocol for record in load_records(out)}) == 2


def test_a_thinking_block_belongs_to_no_answer_if_an_option_names_its_tags(run, monkeypatch):
    monkeypatch.setattr(Engine, "answers", ANSWERS | {"q0": f"<think>A 1?</think>\n{RIGHT}"})

    def first(*options):
        return read_answers(run("m=digit", options=options) / "m.answers.jsonl")[0]

    named = first("--thinking", "<think>", "</think>")
    assert (named.well_formed, named.claim_labels, named.reading) == (True, [1], [])
    # Without it the block is text that no judge of claims reads:
    # the answer behind it is judged whole.
    unnamed = first()
    assert (unnamed.well_formed, unnamed.claim_labels) == (False, [])
    assert unnamed.reading == ["thinking", "confidence", "tag", "list"]
    assert (unnamed.correct, unnamed.stated_confidence) == (1.0, 0.7)


ALL_FIVE = ("--protocols", "dp", "sc_own", "pcr", "verbal", "verbal_expected")


def test_an_engine_without_logprobs_is_evaluated_by_all_that_needs_none(run, monkeypatch, capsys):
    without_logprobs(monkeypatch)
    out = run("base=digit", options=ALL_FIVE)
    assert names(out) == whole("base.answers", "base.verbal", "base.sc_own")
    assert [a.correct for a in read_answers(out / "base.answers.jsonl")] == [1, 0, 1, 0]
    printed = capsys.readouterr().out.splitlines()
    left_out = [line for line in printed if "left out" in line]
    assert [line.split(":")[0].rpartition(".")[0][-8:] for line in left_out] == [
        "/base.dp",
        "base.pcr",
        "expected",
    ]
    assert "no answer in" in left_out[0] and "gives no log-probabilities" in left_out[1]
    assert "has no method `score`" in left_out[2]
    assert {record.protocol for record in load_records(out)} == {"verbal", "sc_own"}
    # The same command once more: nothing new, and the lines are said again.
    before = {path: path.read_bytes() for path in files_of(out)}
    run("base=digit", options=ALL_FIVE)
    assert {path: path.read_bytes() for path in before} == before
    assert capsys.readouterr().out.count("left out") == 3


def test_records_of_a_protocol_that_is_left_out_now_do_not_stay(run, monkeypatch):
    """Answers with token probabilities first,
    then the same model behind a server that gives none.
    """
    plain = Engine.generate

    def with_tokens(self, requests, sampling):
        return [[Completion(self.reply(r), (Token("7", -0.5, {}),))] * sampling.n for r in requests]

    monkeypatch.setattr(Engine, "generate", with_tokens)
    out = run("base=digit", options=("--protocols", "dp", "verbal"))
    assert "base.dp.jsonl" in names(out)
    monkeypatch.setattr(Engine, "generate", plain)
    run("base=digit", options=("--protocols", "dp", "verbal", "--seed", "5"))
    assert names(out) == whole("base.answers", "base.verbal")
    assert "base.dp.jsonl" in set_aside(out) and load_records(out)


@pytest.mark.parametrize(("cut", "warned"), [(0, False), (1, True)])
def test_answers_that_were_cut_off_are_recorded_and_warned_of(
    run, monkeypatch, capsys, cut, warned
):
    """One of four is 25 %, above the 5 % of the warning."""
    reasons = {question: "length" if i < cut else "stop" for i, question in enumerate(ANSWERS)}

    def generate(self, requests, sampling):
        return [
            [Completion(self.reply(r), (), reasons[self.images[r.image]])] * sampling.n
            for r in requests
        ]

    monkeypatch.setattr(Engine, "generate", generate)
    out = run("base=digit", options=("--protocols", "verbal"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "cut off" in line]
    assert len(lines) == warned
    if warned:
        assert lines[0].startswith("base: 25.0% of the answers were cut off at --max-tokens 64")
    read = read_answers(out / "base.answers.jsonl")
    assert [a.truncated for a in read] == [i < cut for i in range(4)]
    assert main(["report", "--records", str(out), "--out", str(out / "report")]) == 0
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["models"]["base"]["verbal"]["pooled"]["truncated"] == cut / 4
    page = (out / "report" / "report.html").read_text()
    assert ("base: 25.0% of the answers were cut off" in page) == warned == bool(report["cut_off"])


def test_records_from_before_the_finish_reason_are_read(run, capsys):
    out = run("base=digit", options=("--protocols", "verbal"))
    path = out / "base.answers.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["finish_reason"], line["probability_tokens"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (out / "base.verbal.settings.json").unlink()  # it knows the hash of the file as it was
    assert [a.truncated for a in read_answers(path)] == [None] * 4
    assert main(["report", "--records", str(out), "--out", str(out / "report")]) == 0
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["models"]["base"]["verbal"]["pooled"]["truncated"] is None
    assert report["cut_off"] == []


def test_a_served_expert_is_asked_and_paid_once(run, capsys):
    from judge_server import JudgeServer

    with JudgeServer() as server:
        expert = json.dumps({"kind": "openai", "model": "judge", "base_url": server.url})
        for _ in range(3):
            out = run("base=digit", options=("--expert", expert, "--protocols", "verbal"))
        paid = server.total
    assert Engine.log == [("digit", 4)] and paid == 4
    assert "made with" not in capsys.readouterr().out and not set_aside(out)


@pytest.mark.parametrize("change", ["server", "parameters", "model"])
def test_answers_of_one_judge_are_not_continued_with_another(run, capsys, change):
    from judge_server import JudgeServer

    with JudgeServer() as first, JudgeServer() as second:
        judge = {"kind": "openai", "model": "judge", "base_url": first.url}
        ask = ("--protocols", "verbal", "--expert")
        out = run("base=digit", options=(*ask, json.dumps(judge)))
        # As an interrupted run leaves it.
        keep_partial(out / "base.answers.jsonl", 2)
        other = {
            "server": {"base_url": second.url},
            "parameters": {"parameters": {"seed": 1}},
            "model": {"model": "referee"},
        }[change]
        run("base=digit", options=(*ask, json.dumps(judge | other)))
        asked = second.total if change == "server" else first.total - 4
    assert asked == 4  # all anew, not the two that were missing
    what = "expert" if change == "model" else "judged_by"
    assert f"made with another {what}, now in" in capsys.readouterr().out
    assert "base.answers.jsonl.partial" in set_aside(out)


SAMPLED = ("--protocols", "sc_own", "semantic_entropy", "--sc-samples", "2")


def test_another_equivalence_is_another_setting_of_the_protocols_that_compare(run, capsys):
    from judge_server import JudgeServer

    def reply(prompt):
        """Judges all answers right, and holds any two of them to be the same."""
        if "compare two answers" in prompt:
            return {"label": "entailment"}
        return {"claims": [1], "overall": 1} if "Claims" in prompt else {"overall": 1}

    with JudgeServer(reply=reply) as server:
        expert = json.dumps({"kind": "openai", "model": "judge", "base_url": server.url})
        judged = (*SAMPLED, "--expert", expert)
        out = run("base=digit", options=judged)
        before = (out / "base.answers.jsonl").read_bytes()
        by_text = read_records(out / "base.semantic_entropy.jsonl")
        run("base=digit", options=(*judged, "--equivalence", "expert"))
    assert "made with another equal, now in" in capsys.readouterr().out
    assert (out / "base.answers.jsonl").read_bytes() == before
    settings = json.loads((out / "base.semantic_entropy.settings.json").read_text())
    assert settings["equal"].startswith("entailment both ways by judge")
    # The scripted model says the same each time:
    # equal as text, so nothing is asked and nothing changes.
    again = read_records(out / "base.semantic_entropy.jsonl")
    assert [r.confidence for r in again] == [r.confidence for r in by_text] == [1.0] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--equivalence", "expert"), "the oracle compares no answers; name a judge"),
        (("--equivalence", "no/directory/here"), "no NLI cross-encoder 'no/directory/here'"),
        (("--sc-samples", "1"), "semantic_entropy needs --sc-samples of at least 2"),
    ],
)
def test_what_cannot_compare_samples_is_found_out_before_any_answer(run, capsys, options, message):
    run("base=digit", options=(*SAMPLED, *options), expect=1)
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and Engine.log == []


@pytest.fixture
def filtered():
    """Options of an expert whose content filter stops one answer of four each time; its server."""
    from judge_server import JudgeServer, exact_reply

    def reply(prompt):
        stopped = "digit is 1" in prompt
        server.finish = "content_filter" if stopped else "stop"
        return "" if stopped else exact_reply(prompt)

    with JudgeServer(reply=reply) as server:
        expert = {"kind": "openai", "model": "judge", "base_url": server.url, "concurrency": 1}
        yield ("--expert", json.dumps(expert), "--protocols", "verbal"), server


def left_out_of(out):
    return json.loads((out / "base.left_out.json").read_text())


def test_one_answer_that_is_always_refused_is_left_out_named_and_counted(run, filtered, capsys):
    options, server = filtered
    out = run("base=digit", options=options, expect=1)
    error = capsys.readouterr().err.splitlines()[-1]
    assert "failed on 1 of 4 answers" in error and "content filter" in error
    assert error.endswith(
        "run the same command again for the rest, or leave them out by --coverage 0.75"
    )
    assert not (out / "base.left_out.json").exists()
    out = run("base=digit", options=(*options, "--coverage", "0.75"))
    (entry,) = left_out_of(out)["left_out"]
    assert (entry["question_id"], entry["reason"]) == ("q1", "content_filter")
    assert "The digit is 1." in entry["response"]
    read = read_answers(out / "base.answers.jsonl")
    assert {answer.question_id for answer in read} == {"q0", "q2", "q3"}
    assert main(["report", "--records", str(out), "--out", str(out / "report")]) == 0
    sentence = "1 of 4 answers are left out, without a verdict (content_filter 1)."
    for name in ("report.md", "report.html", "report.json"):
        assert sentence in (out / "report" / name).read_text()
    # What is left out is asked neither of the model nor of the expert again.
    asked, paid = list(Engine.log), server.total
    run("base=digit", options=(*options, "--coverage", "0.5"))
    assert (Engine.log, server.total) == (asked, paid)


def test_a_coverage_that_is_not_reached_blocks_and_one_that_is_raised_asks_again(run, filtered):
    from judge_server import exact_reply

    options, server = filtered
    run("base=digit", options=(*options, "--coverage", "0.8"), expect=1)
    out = run("base=digit", options=(*options, "--coverage", "0.7"))
    assert left_out_of(out)["reasons"] == {"content_filter": 1}
    run("base=digit", options=options, expect=1)
    # The filter is gone: nothing is left out any more.
    server.finish, server.reply = "stop", exact_reply
    run("base=digit", options=options)
    assert not (out / "base.left_out.json").exists()
    assert len(read_answers(out / "base.answers.jsonl")) == 4


def test_a_server_that_is_down_leaves_nothing_out(run, monkeypatch, capsys):
    class Down(Failing):
        async def ask(self, request):
            if self.fail_on in request.response:
                raise ExpertError("not reachable", "connection")
            return await super().ask(request)

    monkeypatch.setattr(make_records, "make_expert", lambda config: Down())
    out = run("base=digit", options=("--coverage", "0.5"), expect=1)
    assert capsys.readouterr().err.splitlines()[-1].endswith("again for the rest")
    assert not (out / "base.left_out.json").exists()


def test_what_was_left_out_goes_aside_with_its_answers(run, filtered):
    options, _ = filtered
    out = run("base=digit", options=(*options, "--coverage", "0.7"))
    run("base=digit", options=(*options, "--coverage", "0.7", "--seed", "1"))
    assert "base.left_out.json" in set_aside(out)


@pytest.mark.parametrize("wrong", ["0", "1.1", "nan", "all"])
def test_a_coverage_is_a_share(run, wrong, capsys):
    with pytest.raises(SystemExit):
        run("base=digit", options=("--coverage", wrong))
    assert "is no share: above 0, and at most 1" in capsys.readouterr().err


def test_a_directory_is_evaluated_into_by_one_process(run, tmp_path, capsys):
    (tmp_path / "records").mkdir()
    with alone_in(tmp_path / "records"):
        out = run("base=digit", expect=1)
        assert Engine.log == [] and names(out) == set()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"process {os.getpid()} (since " in said and str(out) in said
    run("base=digit")
    assert names(out) == BASE


def test_what_the_disk_refuses_is_one_line(run, tmp_path, capsys):
    (tmp_path / "records" / ".lock").mkdir(parents=True)
    run("base=digit", expect=1)
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: ") and "Traceback" not in said
