"""`python -m eval calibration --decoding`: what it reads and refuses, what records say of it."""

import json

import pytest

from eval.__main__ import main
from eval.decoding import MethodByName, spelled_out, with_decoding
from eval.records import answers_path, read_answers, records_path, settings_path
from reward_fns.errors import UserError


def test_parameters_that_are_not_named_have_their_defaults():
    method = MethodByName("vcd:steps=900,alpha=2")
    assert method.spelled == "vcd:alpha=2.0,beta=0.1,steps=900"
    assert MethodByName("vcd").settings == {"decoding": "vcd:alpha=1.0,beta=0.1,steps=500"}
    assert MethodByName("opera:beams=3").method.beams == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dola", "no method 'dola'; there are vcd and opera"),
        ("vcd:gamma=1", "'gamma=1' is no parameter of vcd; write NAME=VALUE with alpha, beta"),
        ("vcd:alpha", "'alpha' is no parameter of vcd"),
        ("vcd:steps=1.5", "'1.5' is not a whole number"),
        ("vcd:alpha=much", "'much' is not a number"),
        ("vcd:alpha=nan", "alpha >= 0"),
        ("opera:beams=1", "beams of at least 2, got 1"),
    ],
)
def test_what_cannot_be_read_is_refused(text, message):
    with pytest.raises(UserError, match=message) as found:
        MethodByName(text)
    assert "\n" not in str(found.value)


def test_a_model_directory_is_loaded_by_transformers():
    method = MethodByName("vcd")
    plain = {"kind": "transformers", "model": "m", "decoding": method.method}
    assert with_decoding("m", method) == plain
    assert with_decoding({"model": "m", "batch_size": 2}, method) == {**plain, "batch_size": 2}
    assert with_decoding("m", None) == "m"


@pytest.mark.parametrize("kind", ["vllm", "openai", "ray", "my_package.engines:Engine"])
def test_any_other_engine_is_refused(kind):
    with pytest.raises(UserError, match=f"runs in the transformers engine, not in '{kind}'"):
        with_decoding({"kind": kind, "model": "m"}, MethodByName("opera"))


def test_a_model_spec_may_spell_its_own_decoding():
    assert spelled_out("m") == ("m", None)
    assert spelled_out({"kind": "vllm", "model": "m"}) == ({"kind": "vllm", "model": "m"}, None)
    config, method = spelled_out({"model": "m", "decoding": "vcd:alpha=2"})
    assert config == {"kind": "transformers", "model": "m", "decoding": method.method}
    assert method.spelled == "vcd:alpha=2.0,beta=0.1,steps=500"
    with pytest.raises(UserError, match="not in 'vllm'"):
        spelled_out({"kind": "vllm", "model": "m", "decoding": "vcd"})


@pytest.fixture
def calibration(pocket, question_rows, write_questions, tmp_path, capsys):
    """Runs the command on four questions; gives the exit code and what it printed."""
    questions, out = write_questions(question_rows()), tmp_path / "records"

    def run(*options, model=pocket):
        arguments = ["--model", f"base={model}", "--questions", str(questions), "--out", str(out)]
        code = main(["calibration", *arguments, "--protocols", "dp", "pcr", *options])
        return code, "".join(capsys.readouterr()), out

    return run


def test_records_of_another_decoding_are_set_aside_and_those_of_the_same_are_kept(calibration):
    plain = ("--temperature", "0")
    model = {"kind": "transformers", "model": "data_prep/pocket/base_model"}
    code, _, out = calibration(*plain, model=json.dumps(model))
    assert code == 0
    before = [answer.response for answer in read_answers(answers_path(out, "base"))]
    code, printed, _ = calibration(*plain, "--decoding", "vcd:alpha=4")
    assert code == 0 and "made with another decoding, now in" in printed
    assert len(list((out / "old").glob("*/base.answers.jsonl"))) == 1
    after = [answer.response for answer in read_answers(answers_path(out, "base"))]
    assert after != before
    for path in (answers_path(out, "base"), records_path(out, "base", "pcr")):
        settings = json.loads(settings_path(path).read_text())
        assert settings["decoding"] == "vcd:alpha=4.0,beta=0.1,steps=500"
    code, printed, _ = calibration(*plain, "--decoding", "vcd:beta=0.1,alpha=4.0")
    assert code == 0 and "asking again" not in printed


def test_opera_answers_and_its_token_probabilities_are_recorded(calibration):
    code, _, out = calibration("--temperature", "0", "--decoding", "opera:beams=2")
    assert code == 0
    answers = read_answers(answers_path(out, "base"))
    assert len(answers) == 4 and all("dp" in answer.probabilities for answer in answers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--decoding", "opera"), "draws nothing: give --temperature 0, not 1.0"),
        (("--decoding", "opera:beams=1"), "opera compares beams, so it needs beams of at least 2"),
    ],
)
def test_the_command_ends_with_one_line(calibration, options, message):
    code, printed, out = calibration(*options)
    assert code == 1 and printed.count("\n") == 1 and message in printed
    assert not out.exists()
