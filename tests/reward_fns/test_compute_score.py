import asyncio
import contextlib
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from reward_fns import reward
from reward_fns.claims import MAX_CLAIMS
from reward_fns.compute_score import compute_score
from reward_fns.difficulty import Coefficients, coefficients, save_coefficients
from reward_fns.errors import ConfigurationError
from reward_fns.expert import AnswerVerdict, ExpertError, FatalExpertError, Source
from reward_fns.judging import REWARD_KEYS, judge_response, reward_dict
from reward_fns.reward import expert_for

TRUTH = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
RIGHT = "1. The digit is 7. I'm sure.\nConfidence: 0.7"
WEIGHTS = coefficients("VQAv2")


def verdict(labels, overall):
    return AnswerVerdict(labels, overall, Source("fake"))


class FakeExpert:
    """Gives one verdict, or raises, and keeps the requests."""

    name = "fake"

    def __init__(self, outcome):
        self.outcome = outcome
        self.requests = []

    async def ask(self, request):
        self.requests.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


INFO = {"question": "Which digit?", "task": "QA"}


@pytest.fixture(autouse=True)
def _no_ended_run():
    """A configuration error is kept for the rest of a process, which is one run;
    a test is one too.
    """
    reward._made.cache_clear()


def run(response=RIGHT, dataset="VQAv2", truth=TRUTH, info=INFO, **options):
    options = {"expert": "oracle"} | options
    return asyncio.run(compute_score(dataset, response, truth, info, **options))


def test_a_right_answer_s_reward_by_hand():
    values = run()
    # VQAv2: alpha 1.2990, beta 1.2616, gamma 0.8957, delta 1.0036; sure and right, o = 0.7:
    # cons = 0.7, loss = 0.3
    assert values == {
        "score": pytest.approx(1.2990 + 1.2616 + 0.8957 * 0.7 - 1.0036 * 0.3),
        "acc": 1.0,
        "confidence": 0.7,
        "factuality": pytest.approx(1.2990),
        "alignment": pytest.approx(1.2616),
        "consistency": pytest.approx(0.8957 * 0.7),
        "penalty": pytest.approx(-1.0036 * 0.3),
        "well_formed": 1.0,
        "n_claims": 1.0,
        "n_sure": 1.0,
        "expert_failed": 0.0,
    }
    assert run(rule="proper")["penalty"] == pytest.approx(-1.0036 * 0.09)


RESPONSES = [
    RIGHT,
    "1. The digit is 1. I'm not sure.\nConfidence: 0",
    "1. The digit is 7. I'm sure.",
    "The digit is 7.",
    "",
    "1. The digit is 7. I'm sure.\n" * (MAX_CLAIMS + 1),
]


@pytest.mark.parametrize("rule", ["paper", "proper"])
@pytest.mark.parametrize("outcome", ["oracle", FakeExpert(verdict((1,), 1))])
@pytest.mark.parametrize("response", RESPONSES)
def test_every_sample_has_the_same_keys_with_finite_floats_that_sum_to_the_score(
    response, outcome, rule
):
    values = run(response, rule=rule, expert=outcome)
    assert tuple(values) == REWARD_KEYS
    assert all(type(value) is float and math.isfinite(value) for value in values.values())
    terms = (values["factuality"], values["alignment"], values["consistency"], values["penalty"])
    assert values["score"] == pytest.approx(sum(terms))


def test_a_missing_confidence_is_minus_one_and_the_claims_are_still_judged():
    values = run("1. The digit is 7. I'm sure.")
    assert (values["confidence"], values["acc"], values["well_formed"]) == (-1.0, 1.0, 0.0)
    assert values["score"] == values["penalty"] == -WEIGHTS.delta


@pytest.mark.parametrize("response", ["", "The digit is 7.", RESPONSES[-1]])
def test_without_claims_or_with_too_many_the_expert_is_not_asked(response):
    expert = FakeExpert(ExpertError("asked"))
    values = run(response, expert=expert)
    assert expert.requests == []
    assert (values["acc"], values["expert_failed"], values["score"]) == (0.0, 0.0, -WEIGHTS.delta)


@pytest.mark.parametrize("response", [RIGHT, "1. The digit is 7. I'm sure."])
def test_without_a_verdict_the_bare_function_raises_and_returns_no_score(response):
    with pytest.raises(
        ExpertError, match="no verdict for question q1: ExpertError: down"
    ) as raised:
        run(
            response,
            info=INFO | {"question_id": "q1"},
            expert=FakeExpert(ExpertError("down", "5xx")),
        )
    assert raised.value.reason == "5xx"
    assert not isinstance(raised.value, FatalExpertError)


def test_a_failed_call_ends_nothing_and_a_fatal_one_every_later_call():
    expert = FakeExpert(ExpertError("down"))
    with pytest.raises(ExpertError):
        run(expert=expert)
    expert.outcome = verdict((1,), 1.0)
    assert run(expert=expert)["acc"] == 1.0
    expert.outcome = FatalExpertError("no such model")
    with pytest.raises(FatalExpertError, match="no such model"):
        run(expert=expert)
    expert.outcome = verdict((1,), 1.0)
    with pytest.raises(FatalExpertError, match="no such model"):
        run(expert=expert)


@pytest.mark.parametrize(
    "outcome",
    [ExpertError("down"), KeyError("a bug"), verdict((1, 1), 1.0)],
    ids=["error", "bug", "count"],
)
def test_whatever_goes_wrong_in_an_expert_becomes_the_error(outcome):
    judged = judge(FakeExpert(outcome))
    assert judged.verdict is None
    assert judged.error


def judge(expert, response=RIGHT, images=()):
    return asyncio.run(
        judge_response(
            response=response,
            question="Which digit?",
            task="QA",
            ground_truth=TRUTH,
            images=images,
            expert=expert,
        )
    )


def test_the_expert_sees_question_task_claims_response_truth_and_image():
    expert = FakeExpert(verdict((1,), 1.0))
    judged = judge(expert, images=(b"png",))
    [request] = expert.requests
    assert (request.question, request.task, request.claims) == (
        "Which digit?",
        "QA",
        ("The digit is 7.",),
    )
    assert (request.response, request.ground_truth, request.images) == (
        "1. The digit is 7.",
        TRUTH,
        (b"png",),
    )
    assert (judged.correct, judged.error) == (1.0, None)
    assert reward_dict(judged, WEIGHTS)["score"] == run()["score"]


def test_a_verdict_out_of_range_is_an_expert_error():
    for out_of_range in (verdict((2,), 1.0), verdict((1,), 1.5)):
        assert judge(FakeExpert(out_of_range)).error


def test_the_coefficients_come_from_one_key_a_scheme_or_a_file(tmp_path):
    path = tmp_path / "coefficients.yaml"
    save_coefficients(path, {"pocket-digit": Coefficients(1, 2, 3, 4)})
    assert run(dataset="pocket-digit", coefficients=str(path))["alignment"] == 2
    assert run(dataset="pocket-digit", coefficients="fixed")["alignment"] == 1


def test_a_sample_without_question_ends_the_run_with_the_remedy():
    for info in (None, {}, {"index": 7}, {"question": " "}):
        with pytest.raises(ConfigurationError, match=r"no question.*extra_info\['question'\]"):
            run(info=info)


def base_url(expert):
    return expert.expert.expert.base_url  # the served model within the mode within the cache


def test_one_configuration_is_one_expert_and_a_served_reward_model_is_its_server():
    config = {"kind": "openai", "model": "judge"}
    served = expert_for(config, "127.0.0.1:8000")
    assert base_url(served) == "http://127.0.0.1:8000/v1"
    assert expert_for(dict(reversed(config.items())), "127.0.0.1:8000") is served
    assert (
        base_url(expert_for(config | {"base_url": "http://other/v1"}, "127.0.0.1:8000"))
        == "http://other/v1"
    )
    assert expert_for("oracle", "127.0.0.1:8000") is expert_for({"kind": "oracle"})


def test_arguments_that_verl_adds_are_taken():
    assert run(reward_router_address="127.0.0.1:1", reward_model_tokenizer=None) == run()


def test_reward_fns_imports_without_torch_verl_or_the_client():
    heavy = ("torch", "verl", "vllm", "ray", "openai", "tenacity", "diskcache")
    code = (
        "import sys, reward_fns.compute_score; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


def test_verl_s_own_loader_finds_it_with_two_lines_of_configuration():
    omegaconf = pytest.importorskip("omegaconf")
    loaders = pytest.importorskip("verl.trainer.ppo.reward")
    lines = ["path=pkg://reward_fns.compute_score", "name=compute_score"]
    lines += ["reward_kwargs.expert=oracle"]
    config = omegaconf.OmegaConf.from_dotlist(
        [f"reward.custom_reward_function.{line}" for line in lines]
    )
    function = loaders.get_custom_reward_fn(config)
    sample = {
        "data_source": "VQAv2",
        "solution_str": RIGHT,
        "ground_truth": TRUTH,
        "extra_info": INFO,
    }
    assert asyncio.run(function(**sample)) == run()

    lines[-1:] = ["reward_kwargs.rule=proper", "reward_kwargs.expert.kind=oracle"]
    config = omegaconf.OmegaConf.from_dotlist(
        [f"reward.custom_reward_function.{line}" for line in lines]
    )
    assert asyncio.run(loaders.get_custom_reward_fn(config)(**sample)) == run(rule="proper")


WRONG = "1. The digit is 1. I'm sure.\nConfidence: 0.7"


def _advantages(scores, uids):
    torch = pytest.importorskip("torch")
    algos = pytest.importorskip("verl.trainer.ppo.core_algos")
    rewards = torch.tensor(scores)[:, None]
    advantages, _ = algos.compute_grpo_outcome_advantage(
        rewards, torch.ones_like(rewards), index=np.array(uids, dtype=object)
    )
    return advantages[:, 0].tolist()


def _scores_that_verl_keeps(responses, experts):
    """verl 0.9.1 leaves out a rollout whose reward raised."""
    kept = []
    for response, expert in zip(responses, experts, strict=True):
        with contextlib.suppress(ExpertError):
            kept.append(run(response, expert=expert)["score"])
    return kept


def test_a_failed_call_moves_no_advantage_of_its_group():
    down = FakeExpert(ExpertError("down"))
    kept = _scores_that_verl_keeps([RIGHT] * 4 + [WRONG] * 3 + [RIGHT], ["oracle"] * 7 + [down])
    assert len(kept) == 7
    # verl fills the batch up with a padding sample of reward 0 and another uid.
    advantages = _advantages([*kept, 0.0], ["group"] * 7 + ["padding"])[:7]
    # Of a gap g, right is 3/7 g above the mean, wrong 4/7 g below, and the sample deviation is
    # g * sqrt((4 * (3/7)^2 + 3 * (4/7)^2) / 6) = 0.5345 g: 0.8018 and -1.0690.
    assert advantages == pytest.approx([0.8018] * 4 + [-1.0690] * 3, abs=1e-3)


@pytest.mark.parametrize(("others", "advantage"), [(RIGHT, -2.475), (WRONG, 2.475)])
def test_a_failed_call_scored_0_would_have_the_largest_advantage_that_eight_can_have(
    others, advantage
):
    score = run(others)["score"]
    # Of a gap g it stands 7/8 g off the mean, and the sample deviation is g / sqrt(8):
    # 0.875 * 2.828.
    scores = [score] * 7 + [0.0]
    assert _advantages(scores, ["group"] * 8)[-1] == pytest.approx(advantage, abs=1e-2)
