"""Steps `own` and `targets` within the whole pipeline: scripted model and expert, real steps."""

import json

import numpy as np
import pytest
import scripted

from data_prep.pipeline.config import load_config
from data_prep.pipeline.runner import run_steps
from data_prep.pipeline.step_table import STEPS
from data_prep.steps.own.sample import OwnConfig
from data_prep.steps.own.targets import Tagger, _check_finite, columns
from reward_fns.claims import FORMAT_INSTRUCTION, parse_response
from reward_fns.errors import UserError
from reward_fns.files import read_jsonl, read_mapping

UP_TO_TARGETS = list(STEPS)[: list(STEPS).index("targets") + 1]


@pytest.fixture(scope="module")
def run(tiny_encoder):
    """Run the pipeline over 240 scripted questions in a folder; returns the run's directory."""

    def run(folder, steps=tuple(STEPS), engine=None, **sections):
        dataset = scripted.write_dataset(folder / "places", 240)
        experts = dict.fromkeys(("extractor", "rewriter", "verifier", "judge"), scripted.EXPERT)
        sections = {
            "pair": {"encoder": str(tiny_encoder)},
            "splits": {"train": 4, "sft": 120},
            "sft": {**experts, "confidence": "own", **sections.pop("sft", {})},
            **({"model": engine} if engine else {}),
            **sections,
        }
        config = load_config(scripted.write_config(folder / "config.yaml", [dataset], **sections))
        run_steps(config, folder / "run", list(steps))
        return folder / "run"

    return run


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    return run(tmp_path_factory.mktemp("own"))


def test_each_answer_is_a_row_of_its_own_as_often_as_it_was_drawn(whole):
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(whole / "sft.parquet").to_pylist()
    sft = [r["question_id"] for r in read_jsonl(whole / "splits.jsonl") if r["split"] == "sft"]
    assert len(rows) == 4 * len(sft) >= 400
    assert list(dict.fromkeys(row["question_id"] for row in rows)) == sft
    for row in rows:
        prompt, answer = (message["content"] for message in row["messages"])
        assert prompt.endswith(FORMAT_INSTRUCTION)
        assert parse_response(answer).well_formed


def test_confidence_and_tags_follow_the_answers_own_probability(whole):
    """Not the question's: its right and wrong answers get different numbers."""
    right, wrong, mixed = [], [], 0
    for record in read_jsonl(whole / "targets.jsonl"):
        by_verdict = {text["correct"]: parse_response(text["text"]) for text in record["texts"]}
        mixed += len(by_verdict) == 2
        for correct, parsed in by_verdict.items():
            (right if correct else wrong).append(parsed.confidence)
            if abs(parsed.confidence - 0.5) > 0.2:  # between, the two maps may differ
                assert parsed.claims[0].sure is (parsed.confidence > 0.5)
    assert mixed > 20
    assert sum(right) / len(right) > 0.7 > 0.3 > sum(wrong) / len(wrong)


def test_tags_are_drawn_with_the_claims_chance(run, tmp_path):
    """Scripted answers are one claim, so answer and claim have about the same chance."""
    folder = run(tmp_path, UP_TO_TARGETS, own={"tags": "drawn"})
    texts = [text for record in read_jsonl(folder / "targets.jsonl") for text in record["texts"]]
    chance = np.array([text["chance"] for text in texts])
    count = np.array([text["count"] for text in texts])
    sure = np.array([parse_response(text["text"]).claims[0].sure for text in texts])
    noise = (count * chance * (1 - chance)).sum() ** 0.5
    assert abs((count * (sure - chance)).sum()) < 4 * noise
    # The likelier tag would be the wrong one of neither side.
    unlikely = sure != (chance > 0.5)
    assert 0 < (count * unlikely).sum() < 0.5 * count.sum()


def test_the_two_ways_to_choose_a_tag():
    drawn, likelier = (Tagger(tags, seed=0) for tags in ("drawn", "likelier"))
    assert [likelier.sure(chance) for chance in (0.0, 0.5, 0.51, 1.0)] == [False, False, True, True]
    # 1,000 draws at 0.3: 300, give or take 14.5
    assert abs(sum(drawn.sure(0.3) for _ in range(1000)) - 300) < 58
    assert not any(drawn.sure(0.0) for _ in range(100)) and all(drawn.sure(1.0) for _ in range(100))
    with pytest.raises(ValueError, match="likelier, drawn"):
        OwnConfig(tags="certain")


def test_the_map_says_how_well_it_does(whole):
    found = read_mapping(whole / "own_map.json")
    # One of ten claims is given the probability 0.5 whatever it is worth.
    assert found["answers"]["auroc"] > 0.9 and found["answers"]["brier"] < 0.1
    assert found["answers"]["n"] == sum(
        text["count"] for record in read_jsonl(whole / "targets.jsonl") for text in record["texts"]
    )


def test_answers_outside_the_format_are_left_out_and_counted(whole, run, tmp_path):
    records = list(read_jsonl(whole / "own.jsonl"))
    assert all(record["n"] == 4 == sum(a["count"] for a in record["answers"]) for record in records)
    with pytest.raises(UserError, match="holds no answer"):
        run(tmp_path, UP_TO_TARGETS, {"kind": f"{__name__}:Plain"})
    failures = read_jsonl(tmp_path / "run" / "failures" / "own.jsonl")
    assert {failure["reason"] for failure in failures} == {"no answer in the claim format"}


class Plain(scripted.ScriptedEngine):
    """Never heard of the claim format."""

    def _answer(self, text, seed, sampling):
        text = text.replace(FORMAT_INSTRUCTION, "")
        return super()._answer(text, seed, sampling)


class Blunt(scripted.ScriptedEngine):
    """Gives every claim the same probability."""

    def _answer(self, text, seed, sampling):
        completion = super()._answer(text, seed, sampling)
        same = [scripted.Token(token.text, -1.0, {}) for token in completion.tokens]
        return scripted.Completion(completion.text, tuple(same))


def test_confidences_without_spread_are_refused(run, tmp_path):
    with pytest.raises(UserError, match="do not tell its right answers from its wrong ones"):
        run(tmp_path, UP_TO_TARGETS, {"kind": f"{__name__}:Blunt"})


def test_without_it_the_steps_have_nothing_to_do(run, tmp_path):
    folder = run(tmp_path, sft={"confidence": "facts"})
    assert not list(read_jsonl(folder / "own.jsonl"))
    assert json.loads((folder / "own_map.json").read_text()) == {}


def test_it_needs_a_judge(run, tmp_path):
    with pytest.raises(UserError, match="sft.judge"):
        run(tmp_path, UP_TO_TARGETS, sft={"judge": None})


def test_an_expert_that_is_down_is_asked_again(run, tmp_path):
    """What failed is no verdict: the question is named, and the next run asks for it alone."""
    first = run(
        tmp_path,
        UP_TO_TARGETS,
        sft={"judge": {"kind": f"{__name__}:Down", "mended": str(tmp_path / "up")}},
    )
    lost = [f["place"] for f in read_jsonl(first / "failures" / "own.jsonl")]
    assert 0 < len(lost) < 60
    (tmp_path / "up").touch()
    run(
        tmp_path,
        UP_TO_TARGETS,
        sft={"judge": {"kind": f"{__name__}:Down", "mended": str(tmp_path / "up")}},
    )
    assert not list(read_jsonl(first / "failures" / "own.jsonl"))
    assert {*lost} <= {r["question_id"] for r in read_jsonl(first / "targets.jsonl")}


class Bytes(scripted.ScriptedEngine):
    """One of four answers has tokens that do not spell it."""

    def _answer(self, text, seed, sampling):
        completion = super()._answer(text, seed, sampling)
        if not sampling.top_logprobs or FORMAT_INSTRUCTION not in text or seed % 4:
            return completion
        return scripted.Completion(completion.text, completion.tokens[2:])


def test_an_answer_whose_tokens_cannot_be_placed_is_left_out(run, tmp_path):
    folder = run(tmp_path, UP_TO_TARGETS, {"kind": f"{__name__}:Bytes"})
    counts = [sum(a["count"] for a in r["answers"]) for r in read_jsonl(folder / "own.jsonl")]
    # One of another sample's claims counts with that one.
    assert len(counts) > 90 and min(counts) >= 3 and 3 in counts


class Infinite(scripted.ScriptedEngine):
    """Gives one of four answers the probability 0 or none."""

    def _answer(self, text, seed, sampling):
        completion = super()._answer(text, seed, sampling)
        if not sampling.top_logprobs or seed % 4:
            return completion
        nothing = float("nan") if seed % 8 else float("-inf")
        lost = [scripted.Token(token.text, nothing, {}) for token in completion.tokens]
        return scripted.Completion(completion.text, tuple(lost))


def test_an_answer_without_a_finite_log_probability_is_left_out(run, tmp_path):
    folder = run(tmp_path, UP_TO_TARGETS, {"kind": f"{__name__}:Infinite"})
    counts = [sum(a["count"] for a in r["answers"]) for r in read_jsonl(folder / "own.jsonl")]
    assert len(counts) > 90 and 3 in counts


@pytest.mark.parametrize("logprob", [float("-inf"), float("nan")])
def test_such_a_log_probability_in_the_file_is_named_with_its_question(logprob, tmp_path):
    claim = {"text": "A dog.", "logprob": -1.0, "label": 1}
    answers = [{"count": 1, "correct": 1.0, "claims": [claim]} for _ in range(2)]
    records = [{"question_id": f"q{i}", "dataset": "d", "answers": answers} for i in range(3)]
    lost = {"count": 1, "correct": 0.0, "claims": [claim, {**claim, "logprob": logprob}]}
    records[1] = {**records[1], "answers": [answers[0], lost]}
    with pytest.raises(
        UserError, match=f"own.jsonl: .* question d/q1 .* {logprob:g} .1 of 7 .*remove"
    ):
        _check_finite(columns(records), tmp_path / "own.jsonl")


def test_the_nearest_of_the_eleven_numbers_is_stated(whole):
    texts = [text for record in read_jsonl(whole / "targets.jsonl") for text in record["texts"]]
    stated = [(parse_response(text["text"]).confidence, text["chance"]) for text in texts]
    assert all(abs(number - chance) <= 0.05 + 1e-4 for number, chance in stated)
    at_the_ends = {chance for number, chance in stated if number in (0, 1)}
    assert at_the_ends and all(0.01 <= chance <= 0.99 for chance in at_the_ends)


class Down(scripted.ScriptedExpert):
    """Fails on one of ten answers in the claim format until the file `mended` is there."""

    async def ask(self, request):
        import os

        asked = type(request).__name__ == "AnswerRequest" and request.response.startswith("1. ")
        if (
            asked
            and scripted.chance("down", request.question) < 0.1
            and not os.path.exists(self.mended)
        ):
            raise scripted.ExpertError("scripted failure", "5xx")
        return await super().ask(request)
