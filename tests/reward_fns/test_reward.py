"""The configured reward: options are checked once, and what can never be scored ends the run."""

import asyncio
import json

import pytest

from reward_fns import reward as module
from reward_fns.compute_score import compute_score
from reward_fns.difficulty import Coefficients, save_coefficients
from reward_fns.errors import ConfigurationError
from reward_fns.expert import AnswerVerdict, ExpertError, FatalExpertError, Source
from reward_fns.reward import UNREADABLE_ROWS, DifficultyReward, make_reward
from reward_fns.sample import Sample

RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 1"
TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
# VQAv2: alpha + beta + gamma, sure and right with full confidence.
BEST = 1.2990 + 1.2616 + 0.8957


@pytest.fixture(autouse=True)
def _no_ended_run():
    module._made.cache_clear()


class FakeExpert:
    name = "fake"

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.requests = []

    async def ask(self, request):
        self.requests.append(request)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


TRUE = AnswerVerdict((1,), 1.0, Source("fake"))


def sample(dataset="VQAv2", question="Which digit?", truth=TRUTH, images=()):
    return Sample(dataset, question, "QA", truth, images, "q1")


def score(reward, *samples):
    async def all_of_them():
        return [await reward.score(RIGHT, one) for one in samples]

    return asyncio.run(all_of_them())


def test_a_right_sure_answer_s_reward_by_hand():
    [values] = score(DifficultyReward(expert="oracle"), sample())
    assert values["score"] == pytest.approx(BEST)


@pytest.mark.parametrize("options", [{}, {"expert": None}, {"rule": "proper"}])
def test_there_is_no_default_expert_and_the_error_says_how_to_name_one(options):
    with pytest.raises(ConfigurationError, match="no expert.*expert=.*openai.*expert=oracle"):
        make_reward(options)
    with pytest.raises(ConfigurationError, match="no expert"):
        asyncio.run(compute_score("VQAv2", RIGHT, TRUTH, {"question": "Which?"}, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "papr"}, "unknown rule 'papr': choose one of paper, proper"),
        ({"coefficients": "tabel4"}, "'tabel4' is neither a file nor a scheme.*table4, .*fixed"),
        ({"scheme": "fixed"}, "scheme was replaced: set coefficients"),
        ({"coefficients_file": "c.yaml"}, "coefficients_file was replaced: set coefficients"),
        ({"scheme": None}, "scheme was replaced"),
        ({"rul": "paper"}, "no option 'rul': it has expert, rule, coefficients"),
        ({"expert": "oracel"}, "unknown expert kind 'oracel'"),
        ({"expert": {"kind": "oracle", "size": 3}}, "does not take these options"),
        ({"default_coefficients": {"alpha": 1}}, "needs alpha, beta, gamma and delta"),
        (
            {"default_coefficients": {"alpha": -1, "beta": 1, "gamma": 1, "delta": 1}},
            "alpha must be a finite number >= 0",
        ),
        ({"coefficients": {"alpha"}}, "options hold a set"),
        ({"thinking": "<think>"}, "thinking needs an opening and a closing tag, got '<think>'"),
        ({"thinking": ["<think>"]}, "thinking needs"),
        ({"thinking": ["<think>", ""]}, "thinking needs"),
    ],
)
def test_a_wrong_option_is_an_error_at_construction_that_names_it(options, message):
    with pytest.raises(ConfigurationError, match=message):
        make_reward({"expert": "oracle"} | options)


def test_a_thinking_block_is_read_over_if_its_tags_are_named():
    thought = f"<think>1. It is an 8. I'm sure.</think>\n{RIGHT}"
    tags = ["<think>", "</think>"]
    named = make_reward({"expert": "oracle", "thinking": tags})
    unnamed = make_reward({"expert": "oracle"})
    values = [asyncio.run(reward.score(thought, sample())) for reward in (named, unnamed)]
    assert values[0]["score"] == pytest.approx(BEST)
    assert values[1]["well_formed"] == 0.0


def test_one_configuration_is_one_object_also_as_omegaconf():
    omegaconf = pytest.importorskip("omegaconf")
    expert = {
        "kind": "openai",
        "model": "judge",
        "parameters": {"seed": 1, "stop": ["\n\n"]},
        "prices": {"judge": {"input": 1.5, "output": 6}},
    }
    options = {"expert": expert, "rule": "proper"}
    assert make_reward(omegaconf.OmegaConf.create(options)) is make_reward(options)
    # What verl makes of a section: a dict whose values are still OmegaConf's.
    assert make_reward(dict(omegaconf.OmegaConf.create(options))) is make_reward(options)


def test_an_unlisted_dataset_ends_the_run_at_its_first_sample_with_the_remedy():
    reward = DifficultyReward(expert="oracle")
    with pytest.raises(ConfigurationError, match="'gsm8k'.*default_coefficients"):
        score(reward, sample("gsm8k"))
    # Kept, so that a trainer that drops what raised does not go on with the other datasets.
    with pytest.raises(ConfigurationError, match="'gsm8k'"):
        score(reward, sample("VQAv2"))


def test_an_unlisted_dataset_takes_the_configured_default(tmp_path):
    default = {"alpha": 1, "beta": 2, "gamma": 3, "delta": 4}
    save_coefficients(tmp_path / "c.yaml", {"toy": Coefficients(1, 1, 1, 1)})
    for coefficients in ("table4", tmp_path / "c.yaml"):
        options = {"coefficients": coefficients, "default_coefficients": default}
        reward = make_reward({"expert": "oracle"} | options)
        assert score(reward, sample("gsm8k"))[0]["score"] == 1 + 2 + 3


def test_a_dataset_that_the_oracle_cannot_read_ends_the_run_with_the_remedy():
    reward = DifficultyReward(expert="oracle", coefficients="fixed")
    rows = [sample("gsm8k", f"How many are {n}?", str(n)) for n in range(UNREADABLE_ROWS)]
    # A group of one row is one row, however many responses it has.
    values = score(reward, *[rows[0]] * 8, *rows[1:-1])
    assert all(value["expert_failed"] for value in values)
    with pytest.raises(ConfigurationError, match="'gsm8k'.*facts.*name a judge.*openai"):
        score(reward, rows[-1])
    with pytest.raises(ConfigurationError, match="'gsm8k'"):
        score(reward, sample())


def test_a_wrong_dataset_among_good_ones_ends_the_run_too():
    reward = DifficultyReward(expert="oracle", coefficients="fixed")
    rows = [sample("gsm8k", f"How many are {n}?", str(n)) for n in range(UNREADABLE_ROWS)]
    with pytest.raises(ConfigurationError, match="'gsm8k'"):
        score(reward, sample(), *rows)


def test_broken_rows_among_good_ones_are_failures_of_their_own():
    reward = DifficultyReward(expert="oracle")
    broken = [sample(question=f"Row {n}?", truth="7") for n in range(2 * UNREADABLE_ROWS)]
    good, *failed, after = score(reward, sample(), *broken, sample())
    assert good["score"] == after["score"] == pytest.approx(BEST)
    assert all(values["expert_failed"] == 1.0 for values in failed)


def test_a_failed_call_is_marked_and_a_fatal_one_ends_the_run():
    reward = DifficultyReward(FakeExpert(ExpertError("down"), TRUE, FatalExpertError("no key")))
    failed, judged = score(reward, sample(), sample())
    assert (failed["expert_failed"], failed["score"], failed["acc"]) == (1.0, 0.0, 0.0)
    assert judged["score"] == pytest.approx(BEST)
    for _ in range(2):
        with pytest.raises(FatalExpertError, match="no key"):
            score(reward, sample())


def test_the_expert_sees_the_sample():
    expert = FakeExpert(TRUE)
    score(DifficultyReward(expert), sample(images=(b"png",)))
    [request] = expert.requests
    assert (request.question, request.task, request.ground_truth) == ("Which digit?", "QA", TRUTH)
