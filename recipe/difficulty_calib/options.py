"""The options of the recipe's own configuration sections, with their defaults: one place for both.

verl's stock configuration has neither section, so every option has a default here:

    reward.custom_reward_function.reward_kwargs.*     those of `reward_fns.reward.DifficultyReward`
    trainer.v1.difficulty_guided.*                    `TrainerOptions`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from recipe.difficulty_calib.segments import SegmentOptions
from reward_fns.errors import ConfigurationError
from reward_fns.reward import DifficultyReward, make_reward

REWARD_SECTION = "reward.custom_reward_function.reward_kwargs"
TRAINER_SECTION = "trainer.v1.difficulty_guided"
_NOT_YET_SERVED = "127.0.0.1:9"
"""In place of the address that verl gives a reward model when it has started it."""


def reward_options(config: DictConfig) -> dict[str, Any]:
    """The reward's options in a composed configuration; empty where it has none.

    Raises:
        ConfigurationError: the section is no mapping. `make_reward` looks at what is in it.
    """
    section = config.reward.get("custom_reward_function") or {}
    return _plain(REWARD_SECTION, section.get("reward_kwargs"))


def configured_reward(config: DictConfig) -> DifficultyReward:
    """The reward of a composed configuration, made before the workers that will use it.

    Raises:
        ConfigurationError: an option does not exist, is missing or is wrong.
    """
    served = (config.reward.get("reward_model") or {}).get("enable")
    return make_reward(reward_options(config), _NOT_YET_SERVED if served else None)


@dataclass(frozen=True)
class TrainerOptions:
    """Of the trainer ``difficulty_guided``.

    Attributes:
        min_probs_correlation: the run stops below this correlation of rollout and actor
            probabilities. Measured on the pocket model: 0.99995 with bfloat16 on one side,
            0.999997 in float32; of faults 0.998 (images resized before the processor), 0.996 (a
            newline too many), 0.83 (image tokens twice). tests/recipe/test_probs_bound.py. -1: no
            bound.
        max_expert_failure_rate: the run stops when more of the window's rollouts, in [0, 1], are
            without a verdict.
        expert_failure_window: number of last rollouts, >= 1.
        patience: the training ends this many validations after the chosen checkpoint's, >= 1
            (`selection`). None: at its last step.
        segments: of ``algorithm.adv_estimator=segments``.
    """

    min_probs_correlation: float = 0.999
    max_expert_failure_rate: float = 0.05
    expert_failure_window: int = 1024
    patience: int | None = None
    segments: SegmentOptions = field(default_factory=SegmentOptions)

    @classmethod
    def of(cls, config: DictConfig) -> "TrainerOptions":
        """Those of a composed configuration.

        Raises:
            ConfigurationError: the section has an option that does not exist, patience is below
                1, or the bound on the correlation is one that nothing measures.
        """
        v1 = (config.get("trainer") or {}).get("v1") or {}
        given = _plain(TRAINER_SECTION, v1.get("difficulty_guided"))
        _check_known(TRAINER_SECTION, given, cls)
        segments = given.pop("segments", None) or {}
        _check_known(f"{TRAINER_SECTION}.segments", segments, SegmentOptions)
        options = cls(**given, segments=SegmentOptions(**segments))
        if options.patience is not None and options.patience < 1:
            raise ConfigurationError(
                f"{TRAINER_SECTION}.patience is a number of validations, at least 1, or null: "
                f"got {options.patience}"
            )
        if options.min_probs_correlation > -1 and not _correlation_is_measured(config):
            raise ConfigurationError(
                f"{TRAINER_SECTION}.min_probs_correlation needs "
                "actor_rollout_ref.rollout.calculate_log_probs=True and no "
                "algorithm.rollout_correction.bypass_mode; -1 is no bound"
            )
        return options


def _correlation_is_measured(config: DictConfig) -> bool:
    """Whether verl computes the actor's probabilities of the rollouts, to compare them with the
    engine's.
    """
    rollout = (config.get("actor_rollout_ref") or {}).get("rollout") or {}
    correction = (config.get("algorithm") or {}).get("rollout_correction") or {}
    return bool(rollout.get("calculate_log_probs", True) and not correction.get("bypass_mode"))


def _check_known(section: str, given: Mapping[str, Any], options: type) -> None:
    known = [option.name for option in fields(options)]
    if unknown := [name for name in given if name not in known]:
        raise ConfigurationError(
            f"{section} has no option {', '.join(unknown)}: it has {', '.join(known)}"
        )


def watch_rewards(config: DictConfig) -> None:
    """Note in the configuration, which reward workers get, that the trainer sees every reward."""
    with open_dict(config):
        config.trainer.v1.rewards_are_watched = True


def is_watched(config: DictConfig) -> bool:
    """Whether the trainer is one that called `watch_rewards`."""
    v1 = (config.get("trainer") or {}).get("v1") or {}
    return bool(v1.get("rewards_are_watched", False))


def check_served_expert(config: DictConfig) -> None:
    """Refuse a reward model that shares the actor's GPUs.

    verl 0.9.1 then calls the reward after the rollouts with the prompt alone: no dataset tag, no
    ground truth, no extra_info (`PPOTrainer._compute_reward_colocate`), so that no reward function
    that needs one can work; a stock one ends with `KeyError: 'reward_model'`.

    Raises:
        ConfigurationError: it does.
    """
    served = config.reward.get("reward_model") or {}
    if served.get("enable") and not served.get("enable_resource_pool"):
        raise ConfigurationError(
            "reward.reward_model.enable needs GPUs of its own here, since verl gives a reward "
            "model that shares the actor's neither ground truth nor dataset: set "
            "reward.reward_model.enable_resource_pool=True, reward.reward_model.nnodes and "
            "reward.reward_model.n_gpus_per_node"
        )


def _plain(where: str, section: Any) -> dict[str, Any]:
    """A section's options, nested ones included, as Python values."""
    given = OmegaConf.to_container(section, resolve=True) if section else {}
    if not isinstance(given, dict):
        raise ConfigurationError(f"{where} is a mapping of options, got {given!r}")
    return {str(name): value for name, value in given.items()}
