"""Every shipped configuration composes, and says what it promises."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

import recipe.difficulty_calib.config
from recipe.difficulty_calib.options import TrainerOptions
from recipe.difficulty_calib.segments import SegmentOptions
from reward_fns.difficulty import Coefficients
from reward_fns.errors import ConfigurationError
from reward_fns.reward import make_reward

CONFIG_FOLDER = Path(recipe.difficulty_calib.config.__file__).parent
PROFILES = ["pocket", "llava_7b", "pocket_sft", "llava_7b_sft"]


@cache
def composed(name: str, *overrides: str) -> DictConfig:
    """Read-only, as tests share it: Hydra takes half a second to compose one."""
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        config = compose(name, overrides=list(overrides))
    OmegaConf.set_readonly(config, True)
    return config


def test_every_top_level_config_is_a_profile_or_a_base_of_one():
    names = {path.stem for path in CONFIG_FOLDER.glob("*.yaml")}
    assert names == {*PROFILES, "grpo", "sft"}


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_composes(profile):
    config = composed(profile)
    assert OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize("group", ["vlm", "device", "rule"])
@pytest.mark.parametrize("profile", ["pocket", "llava_7b"])
def test_every_option_of_a_group_composes_with_every_grpo_profile(profile, group):
    options = sorted(path.stem for path in (CONFIG_FOLDER / group).glob("*.yaml"))
    assert options
    for option in options:
        composed(profile, f"{group}={option}")


@pytest.mark.parametrize("profile", PROFILES)
def test_of_each_run_two_checkpoints_stay_and_hold_the_adapter_alone(profile):
    config = composed(profile)
    sft = profile.endswith("_sft")
    checkpoint = config.checkpoint if sft else config.actor_rollout_ref.actor.checkpoint
    assert checkpoint.save_lora_only
    assert set(checkpoint.save_contents) == {"model", "optimizer", "extra"}  # hf_model is the base
    kept = config.trainer.max_ckpt_to_keep if sft else config.trainer.max_actor_ckpt_to_keep
    assert kept == 2


@pytest.mark.parametrize("group", ["sft_vlm", "sft_device"])
def test_every_option_of_a_group_composes_with_sft(group):
    for path in (CONFIG_FOLDER / group).glob("*.yaml"):
        composed("llava_7b_sft", f"{group}={path.stem}")


@pytest.mark.parametrize("profile", ["pocket", "llava_7b"])
def test_grpo_profile_is_the_papers_algorithm(profile):
    config = composed(profile)
    actor, algorithm = config.actor_rollout_ref.actor, config.algorithm
    assert (actor.clip_ratio_low, actor.clip_ratio_high) == (0.2, 0.28)
    assert actor.use_kl_loss and actor.kl_loss_coef > 0
    assert config.actor_rollout_ref.rollout.n == 8
    assert config.actor_rollout_ref.model.lora_rank > 0
    assert algorithm.adv_estimator == "grpo" and algorithm.norm_adv_by_std_in_grpo
    assert algorithm.filter_groups.enable and algorithm.filter_groups.metric == "acc"
    assert algorithm.filter_groups.max_num_gen_batches > 0
    assert config.reward.custom_reward_function.reward_kwargs.rule == "paper"


def test_only_the_pocket_profile_names_an_expert():
    assert composed("pocket").reward.custom_reward_function.reward_kwargs.expert == "oracle"
    assert composed("llava_7b").reward.custom_reward_function.reward_kwargs.expert is None


@pytest.mark.parametrize("profile", ["pocket", "llava_7b"])
def test_difficulty_is_the_dataset_s_and_one_word_changes_it(profile):
    kwargs = "reward.custom_reward_function.reward_kwargs"
    assert composed(profile).reward.custom_reward_function.reward_kwargs.difficulty == "dataset"
    config = composed(profile, f"{kwargs}.difficulty=question", f"{kwargs}.expert=oracle")
    # The profile's own coefficients are the paper's, which were measured on no question of ours.
    with pytest.raises(ConfigurationError, match="scheme 'table4' has none: set coefficients"):
        make_reward(config.reward.custom_reward_function.reward_kwargs)


def test_coefficients_after_the_main_job_s_own_are_those_that_are_trained_with(tmp_path):
    kwargs = "reward.custom_reward_function.reward_kwargs"
    # examples/run_llava_grpo.sh gives the file, then what follows its own name.
    config = composed(
        "pocket", f"{kwargs}.coefficients={tmp_path / 'c.yaml'}", f"{kwargs}.coefficients=fixed"
    )
    reward = make_reward(config.reward.custom_reward_function.reward_kwargs)
    assert reward.coefficients_of("pocket-digit") == Coefficients(1.0, 1.0, 1.0, 1.0)


def test_the_proper_rule_also_drops_the_division_by_the_groups_deviation():
    config = composed("pocket", "rule=proper")
    assert config.reward.custom_reward_function.reward_kwargs.rule == "proper"
    assert not config.algorithm.norm_adv_by_std_in_grpo


@pytest.mark.parametrize(
    ("profile", "group"), [("llava_7b", "device"), ("llava_7b_sft", "sft_device")]
)
def test_eight_gpus_run_the_experiment_of_one(profile, group):
    configs = [deepcopy(composed(profile, f"{group}=gpu_{size}")) for size in ("1x80", "8x80")]
    assert [config.trainer.n_gpus_per_node for config in configs] == [1, 8]
    for config in configs:  # verl's other keys of this number follow it
        OmegaConf.set_readonly(config, False)
        config.trainer.n_gpus_per_node = 1
    one, eight = (OmegaConf.to_container(config, resolve=True) for config in configs)
    assert one == eight


@pytest.mark.parametrize("device", ["device=gpu_1x80", "device=gpu_8x80"])
def test_a_gpu_runs_attention_and_rollouts_of_its_own_and_nodes_are_one_key(device):
    config = composed("llava_7b", device, "trainer.nnodes=4")
    assert config.trainer.nnodes == 4
    assert config.actor_rollout_ref.rollout.name == "vllm"
    # flash-attn is used where it can be imported: `preflight --attention`.
    assert config.actor_rollout_ref.model.override_config.attn_implementation == "sdpa"


def test_the_papers_questions_take_420_steps_on_any_number_of_gpus():
    # 1,386 training questions (Table 13) // 64 in a batch = 21 steps an epoch,
    # the last 42 questions left to the next.
    config = composed("llava_7b", "device=gpu_8x80")
    assert 1386 // config.data.train_batch_size * config.trainer.total_epochs == 420


def test_an_adapter_gets_an_adapters_learning_rate():
    sft, rl = composed("llava_7b_sft"), composed("llava_7b").actor_rollout_ref
    assert sft.model.lora_rank == rl.model.lora_rank == 64
    assert 1e-4 <= sft.optim.lr <= 2e-4  # verl's and LLaVA's own LoRA training
    assert (rl.actor.optim.lr, rl.model.lora_alpha) == (3e-6, 32)  # verl's own LoRA example


@pytest.mark.parametrize("device", ["cpu", "gpu_1x80", "gpu_8x80"])
def test_the_bound_on_the_correlation_is_above_the_least_fault_known(device):
    # 0.998: images resized before the processor (test_probs_bound.py)
    config = composed("llava_7b", f"device={device}")
    assert TrainerOptions.of(config).min_probs_correlation >= 0.999


def test_a_card_of_48_gb_trains_the_same_batches_offloaded():
    small, large = (composed("llava_7b", f"device=gpu_1x{size}") for size in (48, 80))
    assert small.data.train_batch_size == large.data.train_batch_size == 64
    assert small.actor_rollout_ref.actor.ppo_mini_batch_size == 32
    assert small.actor_rollout_ref.actor.fsdp_config.param_offload
    assert small.actor_rollout_ref.actor.fsdp_config.optimizer_offload
    # A sequence of max_model_len and one of max_length fit into a micro-batch.
    assert small.actor_rollout_ref.actor.ppo_max_token_len_per_gpu >= 2048
    sft = composed("llava_7b_sft", "sft_device=gpu_1x48")
    assert sft.data.max_token_len_per_gpu >= sft.data.max_length


@pytest.mark.parametrize(
    "overrides", [(), ("device=gpu_1x48",), ("device=gpu_8x80", "trainer.nnodes=2")]
)
def test_llava_7b_satisfies_verls_own_config_classes(overrides, monkeypatch):
    from verl.trainer.config import AlgoConfig
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config
    from verl.workers.config import FSDPActorConfig, RolloutConfig

    config = composed("llava_7b", *overrides)
    validate_config(
        config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
    )
    assert isinstance(omega_conf_to_dataclass(config.algorithm), AlgoConfig)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert isinstance(rollout, RolloutConfig) and rollout.calculate_log_probs
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    assert isinstance(actor, FSDPActorConfig)
    actor.validate(config.trainer.n_gpus_per_node, config.data.train_batch_size)


def test_target_modules_of_llava_leave_the_vision_tower_out():
    import re

    pattern = composed("llava_7b").actor_rollout_ref.model.target_modules
    assert pattern == composed("llava_7b_sft").model.target_modules
    assert re.fullmatch(pattern, "model.language_model.layers.0.self_attn.q_proj")
    assert not re.fullmatch(pattern, "model.vision_tower.encoder.layers.0.self_attn.q_proj")
    assert not re.fullmatch(pattern, "model.multi_modal_projector.linear_1")


@pytest.mark.parametrize("profile", ["pocket", "llava_7b"])
def test_the_rule_segments_is_one_line(profile):
    config = composed(profile, "rule=segments")
    assert config.algorithm.adv_estimator == "segments"
    assert config.reward.custom_reward_function.reward_kwargs.rule == "proper"
    assert TrainerOptions.of(config).segments == SegmentOptions()


@pytest.mark.parametrize(
    "key",
    [
        "actor_rollout_ref.model.use_fused_kernels=true",
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size=2",
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=2",
        "actor_rollout_ref.actor.fsdp_config.pad_to_length=true",
        "actor_rollout_ref.actor.strategy=megatron",
        "distillation.enabled=true",
    ],
)
@pytest.mark.parametrize("profile", ["pocket", "llava_7b"])
def test_an_expected_number_refuses_what_hides_the_logits(profile, key):
    from recipe.difficulty_calib.number_checks import check_logits

    check_logits(composed(profile, "rule=segments"), "projected")
    with pytest.raises(ConfigurationError, match=key.partition("=")[0]) as refused:
        check_logits(composed(profile, "rule=segments", key), "projected")
    assert "segments.number_by=projected" in str(refused.value)


def test_an_expected_number_refuses_groups_left_out_by_their_outcome():
    from recipe.difficulty_calib.number_checks import check_groups

    on = "algorithm.filter_groups.enable=true"
    check_groups(composed("pocket", "rule=segments"), "projected")
    with pytest.raises(ConfigurationError, match=r"filter_groups.enable: set that to false"):
        check_groups(composed("pocket", "rule=segments", on), "projected")


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("actor_rollout_ref.actor.use_kl_loss=false", "actor.use_kl_loss=true"),
        ("actor_rollout_ref.model.lora_rank=0", "model.lora_rank > 0"),
    ],
)
@pytest.mark.parametrize("profile", ["pocket", "llava_7b"])
def test_a_fitted_number_needs_the_reference_that_the_adapter_leaves(profile, key, named):
    from recipe.difficulty_calib.number_checks import check_reference

    check_reference(composed(profile, "rule=segments"))
    with pytest.raises(ConfigurationError, match="segments.number_by=fitted") as refused:
        check_reference(composed(profile, "rule=segments", key))
    assert named in str(refused.value)


@pytest.mark.parametrize("way", ["drawn", "expected", "projected", "fitted"])
def test_each_way_to_pay_a_number_is_one_key(way):
    of_way = f"trainer.v1.difficulty_guided.segments.number_by={way}"
    assert TrainerOptions.of(composed("pocket", "rule=segments", of_way)).segments.number_by == way


@pytest.mark.parametrize("step", [0, 1.1, -0.1])
def test_a_step_beyond_its_target_or_backwards_is_refused(step):
    of_step = f"trainer.v1.difficulty_guided.segments.number_step={step}"
    with pytest.raises(ConfigurationError, match=r"number_step is in \(0, 1\]"):
        TrainerOptions.of(composed("pocket", "rule=segments", of_step))


def test_an_unknown_option_of_the_segments_is_named():
    config = composed("pocket", "rule=segments", "+trainer.v1.difficulty_guided.segments.digit=1")
    with pytest.raises(ConfigurationError, match="no option digit"):
        TrainerOptions.of(config)


@pytest.mark.parametrize(
    "unmeasured",
    [
        "actor_rollout_ref.rollout.calculate_log_probs=false",
        "algorithm.rollout_correction.bypass_mode=true",
    ],
)
def test_a_bound_on_a_correlation_that_nothing_measures_is_an_error(unmeasured):
    with pytest.raises(ConfigurationError, match="needs .*calculate_log_probs=True"):
        TrainerOptions.of(composed("pocket", unmeasured))
    none = "trainer.v1.difficulty_guided.min_probs_correlation=-1"
    assert TrainerOptions.of(composed("pocket", unmeasured, none)).min_probs_correlation == -1
