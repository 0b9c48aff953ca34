"""Post-hoc maps: as scikit-learn's and as by hand, applied without it,
never fitted on what they are measured on.
"""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from eval.__main__ import main
from eval.posthoc.fit import FITS, by_folds, fit
from eval.records import Answer, Confidence, load_records, read_records, write_records
from reward_fns.errors import UserError
from reward_fns.posthoc import METHODS, Calibrator, load_calibrator


@pytest.fixture
def records(make_record):
    """300 answers that are too sharp: right with probability sigma(logit(c) / 4),
    which each map can mend.
    """
    rng = np.random.default_rng(5)
    c = rng.integers(1, 100, 300) / 100
    y = (rng.random(300) < 1 / (1 + (1 / c - 1) ** 0.25)).astype(float)
    return [
        make_record(f"q{i}", protocol="pcr", confidence=float(c[i]), correct=float(y[i]))
        for i in range(300)
    ]


def columns(records):
    return (np.array([getattr(r, name) for r in records]) for name in ("confidence", "correct"))


def test_every_method_that_is_fitted_can_be_applied():
    assert FITS.keys() == METHODS.keys()


def test_isotonic_and_the_logistic_maps_are_scikit_learn_s(records):
    c, y = columns(records)
    grid = np.linspace(0, 1, 401)
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(c, y)
    found = fit("isotonic", records)
    assert [found.apply(x) for x in grid] == pytest.approx(
        isotonic.predict(grid).tolist(), abs=1e-12
    )
    platt = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(c[:, None], y)
    found = fit("platt", records)
    expected = platt.predict_proba(grid[:, None])[:, 1]
    assert [found.apply(x) for x in grid] == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_maps_by_hand():
    assert Calibrator("temperature", {"temperature": 2.0}).apply(0.8) == pytest.approx(2 / 3)
    # logit(0.8) = ln 4; ln 4 / 2 = ln 2; sigma(ln 2) = 2/3
    assert Calibrator("platt", {"a": 2.0, "b": -1.0}).apply(0.5) == 0.5
    # a = b = 1, m = 0 is the identity: sigma(ln c - ln(1 - c)) = c
    assert Calibrator("beta", {"a": 1.0, "b": 1.0, "m": 0.0}).apply(0.3) == pytest.approx(0.3)
    bins = Calibrator("histogram", {"means": [0.1, 0.9]})
    assert [bins.apply(c) for c in (0, 0.49, 0.5, 1)] == [0.1, 0.1, 0.9, 0.9]
    line = Calibrator("isotonic", {"x": [0.2, 0.6], "y": [0.0, 1.0]})
    assert [line.apply(c) for c in (0, 0.2, 0.3, 0.6, 1)] == pytest.approx([0, 0, 0.25, 1, 1])
    with pytest.raises(ValueError, match="outside"):
        line.apply(1.1)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_fitted_without_a_question_improves_its_confidence(records, method):
    c, y = columns(records)
    found = np.array(by_folds(method, records, folds=5))
    assert ((found - y) ** 2).mean() < ((c - y) ** 2).mean()
    assert (found >= 0).all() and (found <= 1).all()


def test_no_verdict_enters_its_own_map(records):
    """Turning one question's verdict round changes the confidences of others, never its own."""
    before = by_folds("isotonic", records, folds=5)
    turned = [replace(records[7], correct=1 - records[7].correct)]
    after = by_folds("isotonic", [*records[:7], *turned, *records[8:]], folds=5)
    assert after[7] == before[7] and after != before


def test_graded_verdicts_count_by_their_share(make_record):
    """Verdict 1/2 everywhere at c = 0.3 and 0.7: every map says 1/2."""
    graded = [
        make_record(f"q{i}", confidence=0.3 if i % 2 else 0.7, correct=0.5 + 1e-9 * (i == 0))
        for i in range(60)
    ]
    for method in ("platt", "isotonic", "histogram"):
        assert fit(method, graded).apply(0.7) == pytest.approx(0.5, abs=1e-3)


def test_too_few_answers_or_none_with_spread_are_refused(records):
    with pytest.raises(UserError, match="49 answers"):
        fit("isotonic", records[:49])
    with pytest.raises(UserError, match="1 differ"):
        fit("isotonic", [replace(record, confidence=0.5) for record in records])


@pytest.mark.parametrize(
    ("questions", "folds", "told"),
    [
        (4, 5, "--folds 5: the records answer 4 questions, .*: name at most 4, or ask more"),
        (1, 2, "--folds 2: the records answer 1 question, and every fold needs one: ask more"),
        # 60 answers to 60 questions in two folds: 30 are left to fit on
        (60, 2, "without fold 1 of 2 there are 30 answers .* a map needs 50 answers"),
    ],
)
def test_too_few_questions_for_the_folds_are_told_by_their_number(records, questions, folds, told):
    part = [
        replace(record, question_id=f"q{i % questions}", sample=i // questions)
        for i, record in enumerate(records[: max(60, questions)])
    ]
    with pytest.raises(UserError, match=told):
        by_folds("isotonic", part, folds)


@pytest.fixture
def directory(tmp_path, records):
    def write(out, part):
        out.mkdir()
        names = set(Answer.__dataclass_fields__)
        answers = [Answer(**{n: getattr(r, n) for n in names}) for r in part]
        write_records(out / "base.answers.jsonl", answers)
        write_records(
            out / "base.pcr.jsonl",
            [
                Confidence(question_id=r.question_id, sample=0, confidence=r.confidence)
                for r in part
            ],
        )
        return out

    return write(tmp_path / "fit", records[:150]), write(tmp_path / "test", records[150:])


def test_the_commands_fit_on_some_questions_and_write_rows_for_others(directory, tmp_path, capsys):
    kept, test = directory
    file = tmp_path / "map.json"
    chosen = ["--model", "base", "--protocol", "pcr"]
    assert main(["fit-calibrator", "--records", str(kept), *chosen, "--out", str(file)]) == 0
    assert main(["posthoc", "--records", str(test), *chosen, "--calibrator", str(file)]) == 0
    calibrator = load_calibrator(file)
    written = read_records(test / "base.pcr+isotonic.jsonl")
    plain = read_records(test / "base.pcr.jsonl")
    for a, b in zip(written, plain, strict=True):
        assert a.confidence == pytest.approx(calibrator.apply(b.confidence), abs=1e-12)
    assert {record.protocol for record in load_records(test)} == {"pcr", "pcr+isotonic"}
    # On its own questions it is refused, and there are folds for that.
    assert main(["posthoc", "--records", str(kept), *chosen, "--calibrator", str(file)]) == 1
    assert "150 of these questions" in capsys.readouterr().err
    assert main(["posthoc", "--records", str(kept), *chosen, "--folds", "5"]) == 0
    assert main(["posthoc", "--records", str(kept), *chosen, "--folds", "1"]) == 1
    assert main(["posthoc", "--records", str(kept), *chosen, "--calibrator", "no.json"]) == 1


def test_serving_code_needs_no_numpy(tmp_path):
    file = tmp_path / "map.json"
    file.write_text(json.dumps({"method": "platt", "parameters": {"a": 2, "b": -1}, "fit": {}}))
    code = (
        "import sys; from reward_fns.posthoc import load_calibrator; "
        f"print(load_calibrator({str(file)!r}).apply(0.5), 'numpy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0.5", "False"]
