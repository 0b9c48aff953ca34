"""The reward through verl's own loaders: as a bare function,
and as the manager that adds the image.
"""

import asyncio
from io import BytesIO

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from PIL import Image
from rollouts import RIGHT, TRUTH, manager, rollout

from recipe.difficulty_calib.expert_watch import REPORT_KEY, ExpertFailureError, ExpertWatch
from recipe.difficulty_calib.options import check_served_expert, watch_rewards
from recipe.difficulty_calib.selection import QUESTION_KEY
from reward_fns import claims
from reward_fns.difficulty import Coefficients, save_coefficients
from reward_fns.errors import ConfigurationError
from reward_fns.expert import AnswerVerdict, ExpertError
from reward_fns.expert.requests import Source
from reward_fns.reward import DifficultyReward


@pytest.fixture
def config(tmp_path):
    save_coefficients(tmp_path / "c.yaml", {"toy": Coefficients(1.0, 2.0, 0.5, 0.25)})
    reward = {
        "reward_manager": {"source": "register", "name": "difficulty_guided"},
        "custom_reward_function": {
            "path": "pkg://reward_fns.compute_score",
            "name": "compute_score",
            "reward_kwargs": {
                "rule": "paper",
                "coefficients": str(tmp_path / "c.yaml"),
                "expert": "oracle",
            },
        },
    }
    return OmegaConf.create({"reward": reward})


@pytest.fixture(scope="module")
def tokenizer(pocket_model):
    from verl.utils import hf_tokenizer

    return hf_tokenizer(str(pocket_model))


def test_the_manager_scores_a_right_sure_answer_by_algorithm_1(config, tokenizer):
    result = asyncio.run(
        manager(config, tokenizer).run_single(rollout(tokenizer, data_source="toy"))
    )
    # alpha * 1 + beta * 1 + gamma * 1 - delta * 0 = 1 + 2 + 0.5
    assert result["reward_score"] == pytest.approx(3.5)
    assert result["reward_extra_info"]["acc"] == 1.0


def test_manager_and_bare_function_agree(config, tokenizer):
    from verl.trainer.ppo.reward import get_custom_reward_fn

    info = {"question": "Which digit?", "task": "QA"}
    bare = asyncio.run(get_custom_reward_fn(config)("toy", RIGHT, TRUTH, extra_info=info))
    asked = rollout(tokenizer, data_source="toy")
    managed = asyncio.run(manager(config, tokenizer).run_single(asked))["reward_extra_info"]
    assert managed.pop(QUESTION_KEY) == "q1"
    assert managed.pop(REPORT_KEY)
    assert managed == bare


def watched(config):
    """The configuration as the trainer `difficulty_guided` hands it to the reward workers."""
    merged = OmegaConf.merge(config, {"trainer": {"v1": {}}})
    watch_rewards(merged)
    return merged


class FailingExpert:
    """An expert that gives no verdict (stands for a service that is down)."""

    name = "failing"

    async def ask(self, request):
        raise TimeoutError("the service is down")


def with_expert(made, expert):
    """The same reward with another expert, as an object;
    one object stands for one configuration.
    """
    return DifficultyReward(expert, made.reward.rule, made.reward.coefficients)


def failing(config, tokenizer):
    difficulty_guided = manager(config, tokenizer)
    difficulty_guided.reward = with_expert(difficulty_guided, FailingExpert())
    return difficulty_guided


def test_a_failed_expert_is_marked_and_logged(config, tokenizer, caplog):
    with caplog.at_level("WARNING"):
        run = failing(watched(config), tokenizer).run_single(rollout(tokenizer, data_source="toy"))
        reward = asyncio.run(run)["reward_extra_info"]
    assert reward["expert_failed"] == 1.0
    assert "no verdict for question q1: TimeoutError: the service is down" in caplog.text


def test_in_a_stock_trainer_a_failed_call_is_raised_so_that_the_rollout_is_left_out(
    config, tokenizer
):
    with pytest.raises(ExpertError, match="the service is down"):
        asyncio.run(failing(config, tokenizer).run_single(rollout(tokenizer, data_source="toy")))


def test_in_a_stock_trainer_too_many_failed_calls_end_every_later_one(config, tokenizer):
    difficulty_guided = failing(config, tokenizer)
    for _ in range(63):
        with pytest.raises(ExpertError):
            asyncio.run(difficulty_guided.run_single(rollout(tokenizer, data_source="toy")))
    for _ in range(2):  # the 64th, and one that an expert would answer again
        with pytest.raises(ExpertFailureError, match="100.0% of the last 64 rollouts"):
            asyncio.run(difficulty_guided.run_single(rollout(tokenizer, data_source="toy")))


class RecordingReward(DifficultyReward):
    """Notes the samples that it is given."""

    def __init__(self):
        super().__init__("oracle")
        self.samples = []

    async def outcome(self, response, sample):
        self.samples.append(sample)
        return await super().outcome(response, sample)


def test_every_image_of_the_prompt_is_the_samples_in_order(config, tokenizer):
    data = rollout(tokenizer)
    pictures = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    parts = [{"type": "image", "image": picture} for picture in pictures]
    data.non_tensor_batch["raw_prompt"][0] = [{"role": "user", "content": parts}]
    difficulty_guided = manager(watched(config), tokenizer)
    difficulty_guided.reward = RecordingReward()
    asyncio.run(difficulty_guided.run_single(data))
    ((first, second),) = [sample.images for sample in difficulty_guided.reward.samples]
    assert Image.open(BytesIO(first)).getpixel((0, 0)) == (255, 0, 0)
    assert Image.open(BytesIO(second)).getpixel((0, 0)) == (0, 0, 255)


def test_an_image_that_cannot_be_had_is_a_rollout_without_verdict(config, tokenizer):
    data = rollout(tokenizer)
    part = {"type": "image", "image": "nowhere.png"}
    data.non_tensor_batch["raw_prompt"][0] = [{"role": "user", "content": [part]}]
    with pytest.raises(ExpertError, match="nowhere.png does not exist"):
        asyncio.run(manager(config, tokenizer).run_single(data))


def test_an_unlisted_dataset_ends_the_run_at_the_first_sample(config, tokenizer):
    data = rollout(tokenizer, data_source="toy")
    data.non_tensor_batch["data_source"][0] = "nowhere"
    # The trainer reads the report of each rollout.
    result = asyncio.run(manager(watched(config), tokenizer).run_single(data))
    with pytest.raises(ExpertFailureError, match="nowhere"):
        ExpertWatch(1.0, 64, 64).see([result["reward_extra_info"]], training=False)
    # Another trainer reads none: this sample is lost, and so is every later one of this worker.
    stock = manager(config, tokenizer)
    for sample in (data, rollout(tokenizer, data_source="toy")):
        with pytest.raises(ExpertFailureError, match="nowhere"):
            asyncio.run(stock.run_single(sample))


class RecordingExpert:
    """Notes what it is asked, and finds all of it true."""

    name = "recording"

    def __init__(self):
        self.requests = []

    async def ask(self, request):
        self.requests.append(request)
        return AnswerVerdict(tuple(1 for _ in request.claims), 1.0, Source(self.name))


def asked(config, tokenizer, data):
    difficulty_guided = manager(config, tokenizer)
    expert = RecordingExpert()
    difficulty_guided.reward = with_expert(difficulty_guided, expert)
    asyncio.run(difficulty_guided.run_single(data))
    (request,) = expert.requests
    return request


@pytest.mark.parametrize("info", [{"index": 3}, None, {"question": ""}])
def test_without_a_question_in_extra_info_the_expert_is_asked_the_prompts(config, tokenizer, info):
    data = rollout(tokenizer, data_source="toy")
    parts = [{"type": "image", "image": Image.new("RGB", (4, 4))}]
    parts.append({"type": "text", "text": "\n" + claims.claim_prompt("Which digit is shown?")})
    data.non_tensor_batch["raw_prompt"][0] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts},
    ]
    data.non_tensor_batch["extra_info"][0] = info
    assert asked(config, tokenizer, data).question == "Which digit is shown?"


def test_a_sample_without_any_question_is_refused(config, tokenizer):
    data = rollout(tokenizer, data_source="toy")
    data.non_tensor_batch["extra_info"][0] = {"index": 3}
    with pytest.raises(ExpertFailureError, match="has no question to judge its answers by"):
        asyncio.run(manager(config, tokenizer).run_single(data))


def test_an_option_that_does_not_exist_is_named_with_the_known_ones(config, tokenizer):
    config.reward.custom_reward_function.reward_kwargs.ruel = "proper"
    with pytest.raises(ConfigurationError, match="no option 'ruel': it has expert, rule, "):
        manager(config, tokenizer)


def test_nested_options_reach_the_expert(config, tokenizer):
    config.reward.custom_reward_function.reward_kwargs.expert = {
        "kind": "openai",
        "model": "judge",
        "base_url": "http://127.0.0.1:9/v1",
        "parameters": {"seed": 1},
        "prices": {"judge": {"input": 1.5, "output": 6}},
    }
    assert manager(config, tokenizer).reward.expert.name


@pytest.mark.parametrize("pool", [False, True])
def test_a_reward_model_on_the_actors_gpus_is_refused_before_the_run(config, tokenizer, pool):
    model = {"enable": True, "enable_resource_pool": pool}
    served = OmegaConf.merge(config, {"reward": {"reward_model": model}})
    if pool:
        check_served_expert(served)
        return
    with pytest.raises(ConfigurationError, match="enable_resource_pool=True"):
        manager(served, tokenizer)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no expert is named, and there is no default"),
        (["+reward.custom_reward_function.reward_kwargs.scheme=fixed"], "scheme was replaced"),
        (
            [
                "+reward.custom_reward_function.reward_kwargs.expert=oracle",
                "+trainer.v1.difficulty_guided.window=1",
            ],
            "has no option window: it has min_probs_correlation, ",
        ),
    ],
)
def test_the_trainer_refuses_what_cannot_work_before_any_worker_is_started(lines, message):
    from verl.experimental.reward_loop.reward_loop import migrate_legacy_reward_impl
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

    given = ["reward.reward_manager.name=difficulty_guided", *lines]
    with initialize_config_module("verl.trainer.config", version_base=None):
        stock = compose("ppo_trainer", overrides=["algorithm.adv_estimator=grpo", *given])
    with pytest.raises(ConfigurationError, match=message):
        get_trainer_cls("difficulty_guided")(migrate_legacy_reward_impl(stock))
