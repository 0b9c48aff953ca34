"""`calibration --images` and `blind`: with a scripted engine, and with the pocket model."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.engines import Completion
from eval.__main__ import main
from eval.asking import make_records
from eval.comparison.blind import blind_table, blind_test
from eval.records import read_answers, read_records, write_records
from eval.tables.render import render
from reward_fns.expert import AnswerVerdict, Source

REPOSITORY = Path(__file__).parents[3]
POCKET = REPOSITORY / "data_prep" / "pocket" / "base_model"
N = 40


class Looking:
    """A model that knows the questions' own images: right and sure with one,
    wrong and unsure without.
    """

    known: set[bytes] = set()
    seen: list[bytes] = []

    def __init__(self, spec):
        self.fingerprint = spec

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def generate(self, requests, sampling):
        self.seen += [request.image for request in requests]
        return [[Completion(self._reply(r))] * sampling.n for r in requests]

    def _reply(self, request):
        knows = request.image in self.known
        if request.messages[-1]["content"][-1]["text"].startswith("How likely"):
            return "0.8"  # by verbal_asked it is as sure as ever
        digit, confidence = (7, 0.9) if knows else (3, 0.25)
        return f"1. The digit is {digit}. I'm sure.\nConfidence: {confidence}"


@pytest.fixture
def rows(question_rows, monkeypatch):
    rows = question_rows(N)
    monkeypatch.setattr(Looking, "known", {row["images"][0]["bytes"] for row in rows})
    monkeypatch.setattr(Looking, "seen", [])
    monkeypatch.setattr(make_records, "open_engine", lambda spec, cache: Looking(spec))
    return rows


@pytest.fixture
def calibration(rows, write_questions, tmp_path):
    questions = write_questions(rows)

    def command(name, *options, model="m"):
        out = tmp_path / name
        arguments = ["--model", f"base={model}", "--questions", str(questions), "--out", str(out)]
        options = ("--protocols", "verbal", "verbal_asked", *options)
        assert main(["calibration", *arguments, *options]) == 0
        return out

    return command


def test_the_confidence_falls_with_the_image_and_the_command_says_so(calibration, tmp_path, capsys):
    plain, none = calibration("plain"), calibration("none", "--images", "none")
    noise, out = calibration("noise", "--images", "noise"), tmp_path / "blind.csv"
    capsys.readouterr()
    arguments = ["--plain", str(plain), "--corrupted", str(none), str(noise), "--out", str(out)]
    assert main(["blind", *arguments]) == 0
    told = capsys.readouterr().out
    assert "base, Verbal, no image (grey): confidence falls (0.900 to 0.250, -0.650 [" in told
    assert "base, Verbal (asked), noise: no change of the confidence can be told" in told
    lines = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    table = list(csv.DictReader(lines))
    assert [(row["images"], row["protocol"]) for row in table] == [
        ("no image (grey)", "Verbal"),
        ("no image (grey)", "Verbal (asked)"),
        ("noise", "Verbal"),
        ("noise", "Verbal (asked)"),
    ]
    row = table[0]
    assert (row["n"], row["readable"]) == ("40", "40")
    assert (float(row["accuracy: plain"]), float(row["accuracy: corrupted"])) == (1.0, 0.0)
    # ECE: |1 - 0.9| and |0 - 0.25|
    assert float(row["ECE: plain"]) == pytest.approx(0.1)
    assert float(row["ECE: corrupted"]) == pytest.approx(0.25)
    assert float(row["ECE: difference"]) == pytest.approx(0.15)


def test_another_question_s_image_comes_in_answers_and_in_protocols(calibration, rows):
    calibration("other", "--images", "other")
    own = [row["images"][0]["bytes"] for row in rows]
    answered, asked = Looking.seen[:N], Looking.seen[N:]
    assert answered == asked and sorted(answered) == sorted(own)
    assert all(seen != image for seen, image in zip(answered, own, strict=True))


def test_answers_are_judged_with_the_question_s_own_image(calibration, rows, monkeypatch):
    shown = []

    class Judge:
        name = "judge"

        async def ask(self, request):
            shown.extend(request.images)
            return AnswerVerdict((1,) * len(request.claims), 1, Source("judge"))

    monkeypatch.setattr(make_records, "make_expert", lambda config: Judge())
    calibration("none", "--images", "none")
    assert sorted(shown) == sorted(row["images"][0]["bytes"] for row in rows)


def test_records_of_other_images_never_mix_with_plain_ones(calibration):
    out = calibration("same")
    plain = (out / "base.answers.jsonl").read_bytes()
    settings = json.loads((out / "base.answers.settings.json").read_text())
    assert "images" not in settings  # records from before the option stay valid
    calibration("same", "--images", "none")
    assert {answer.correct for answer in read_answers(out / "base.answers.jsonl")} == {0.0}
    (old,) = [p.read_bytes() for p in (out / "old").rglob("base.answers.jsonl")]
    assert old == plain
    for name in ("answers", "verbal", "verbal_asked"):
        made = json.loads((out / f"base.{name}.settings.json").read_text())
        assert made["images"] == "none"


def test_a_report_of_both_says_that_the_models_were_shown_different_images(calibration):
    from eval.report.asked_alike import differences

    settings = {
        f"{model}.answers.settings.json": json.loads(
            (calibration(model, *options) / "base.answers.settings.json").read_text()
        )
        for model, options in (("sft", ()), ("rl", ("--images", "none")))
    }
    (sentence,) = differences(settings)
    assert "--images: as_is: SFT; none: RL" in sentence


@pytest.mark.parametrize(
    ("plain", "corrupted", "told"),
    [
        ((), (), "was shown the questions' own images; make these records with --images"),
        (("--images", "none"), ("--images", "noise"), "was shown --images none; name records"),
        ((), ("--images", "none", "--seed", "1"), "with another seed in"),
        ((), ("--images", "none", "--limit", "5"), "with another limit in"),
    ],
)
def test_what_cannot_be_compared_ends_with_one_line(calibration, capsys, plain, corrupted, told):
    a, b = calibration("a", *plain), calibration("b", *corrupted)
    capsys.readouterr()
    assert main(["blind", "--plain", str(a), "--corrupted", str(b)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and told in line


def test_another_model_s_records_are_no_blind_test(calibration, capsys):
    a, b = calibration("a"), calibration("b", "--images", "none", model="other")
    assert main(["blind", "--plain", str(a), "--corrupted", str(b)]) == 1
    assert "with another model_sha256 in" in capsys.readouterr().err


def test_pairs_are_by_question_and_what_cannot_be_read_stays_in_the_accuracy(make_record):
    plain = [make_record(f"q{i}", confidence=c) for i, c in enumerate((0.9, None, 0.7, 0.5))]
    other = [
        make_record(f"q{i}", confidence=c, correct=0.0)
        for i, c in ((2, 0.1), (1, 0.2), (0, 0.5), (9, 0.0))  # in another order; q3 is missing
    ]
    found = blind_test("noise", plain, other)
    assert (found.n, found.readable) == (3, 2)
    # q0 and q2: 0.9 and 0.7 against 0.5 and 0.1
    assert (found.confidence.plain, found.confidence.corrupted) == (0.8, 0.3)
    assert found.confidence.difference.value == pytest.approx(-0.5)
    # Resamples draw q0 twice (-0.4), both, or q2 twice (-0.6).
    assert found.confidence.difference[1:] == (pytest.approx(-0.6), pytest.approx(-0.4))
    assert (found.accuracy.plain, found.accuracy.corrupted) == (1.0, 0.0)
    assert "fewer than 30 questions do not tell" in found.sentence()


@pytest.mark.parametrize(
    ("confidence", "samples", "told"),
    [
        (None, 1, "no confidence can be read in both (no value); accuracy 1.000 to 1.000"),
        (0.2, 2, "fewer than 30 questions do not tell whether confidence falls (0.700 to 0.200"),
    ],
)
def test_a_test_without_enough_questions_says_so_and_no_nan(make_record, confidence, samples, told):
    places = [(f"q{i}", k) for i in range(20) for k in range(samples)]
    plain = [make_record(q, sample=k) for q, k in places]
    other = [make_record(q, sample=k, confidence=confidence) for q, k in places]
    test = blind_test("noise", plain, other)
    assert told in test.sentence() and test.n == 20 * samples
    assert "nan" not in test.sentence() + render(blind_table([test]), ".csv")


def test_a_pair_without_a_common_question_is_named_and_the_others_are_tested(
    make_record, tmp_path, capsys
):
    for directory, id_of_b in (("plain", "q0"), ("noise", "another")):
        for model, question_id in (("a", "q0"), ("b", id_of_b)):
            record = make_record(question_id, model=model)
            write_records(tmp_path / directory / f"{model}.verbal.jsonl", [record])
    arguments = ["--plain", str(tmp_path / "plain"), "--corrupted", str(tmp_path / "noise")]
    assert main(["blind", *arguments]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("a, Verbal, noise: ") and "0.700 to 0.700" in told[0]
    assert told[1] == (
        "b, Verbal, noise: no question is in both directories: ask the same questions"
    )


@pytest.mark.timeout(600)
def test_the_pocket_model_is_blind_without_its_image(tmp_path, capsys):
    """Twenty questions with the transformers engine: it answers nothing by the question alone."""
    make = [sys.executable, "-m", "data_prep.pocket", "data", "--out", str(tmp_path)]
    sizes = ["--train", "5", "--sft", "5", "--test", "20"]
    subprocess.run([*make, *sizes], check=True, cwd=REPOSITORY)
    model = json.dumps({"kind": "transformers", "model": str(POCKET)})
    for kind in ("as_is", "none"):
        arguments = ["--questions", str(tmp_path / "test.parquet"), "--out", str(tmp_path / kind)]
        arguments += ["--protocols", "verbal", "pcr", "--temperature", "0", "--images", kind]
        assert main(["calibration", "--model", f"base={model}", *arguments]) == 0
    assert (
        main(["blind", "--plain", str(tmp_path / "as_is"), "--corrupted", str(tmp_path / "none")])
        == 0
    )
    plain, none = (read_records(tmp_path / kind / "base.pcr.jsonl") for kind in ("as_is", "none"))
    found = blind_test("none", plain, none)
    assert found.n == 20 and found.accuracy.difference.high < 0
    assert [r.response for r in plain] != [r.response for r in none]
    assert "PC-R, no image (grey)" in capsys.readouterr().out
