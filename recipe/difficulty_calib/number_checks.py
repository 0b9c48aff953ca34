"""What `segments.number_by` refuses in a composed configuration, before any worker is made."""

from omegaconf import DictConfig

from reward_fns.errors import ConfigurationError


def check_groups(config: DictConfig, number_by: str) -> None:
    """Refuse dynamic sampling, which leaves out groups by what came out.

    A group of equal rewards moves no advantage, so it costs a drawn number nothing. Here it teaches
    as any other: without the groups whose answers are all wrong and say so alike, low numbers are
    held against too many right answers.

    Raises:
        ConfigurationError: it is on.
    """
    if config.algorithm.filter_groups.enable:
        raise ConfigurationError(
            f"segments.number_by={number_by} learns from groups of equal rewards too, and does not "
            "go with algorithm.filter_groups.enable: set that to false, or take "
            "segments.number_by=drawn"
        )


def check_logits(config: DictConfig, number_by: str) -> None:
    """Refuse what keeps a response's logits from being in one place.

    Raises:
        ConfigurationError: a key does so; the message names it.
    """
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    refused = {
        "actor_rollout_ref.model.use_fused_kernels": bool(model.get("use_fused_kernels")),
        # verl's older name of the second
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size": (
            actor.get("ulysses_sequence_parallel_size", 1) > 1
        ),
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size": (
            actor.fsdp_config.get("ulysses_sequence_parallel_size", 1) > 1
        ),
        "actor_rollout_ref.actor.fsdp_config.pad_to_length": bool(
            actor.fsdp_config.get("pad_to_length")
        ),
        "distillation.enabled": bool((config.get("distillation") or {}).get("enabled")),
    }
    if actor.strategy not in ("fsdp", "fsdp2"):
        refused[f"actor_rollout_ref.actor.strategy={actor.strategy}"] = True
    if found := [key for key, is_set in refused.items() if is_set]:
        raise ConfigurationError(
            f"segments.number_by={number_by} reads the logits and does not go with "
            f"{', '.join(found)}: leave that out, or take segments.number_by=drawn"
        )


def check_reference(config: DictConfig) -> None:
    """Refuse where verl makes no pass with the policy that the training began from.

    Raises:
        ConfigurationError: there is no reference, or it is a model of its own, whose worker takes
            no loss function.
    """
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    missing = []
    if not actor.get("use_kl_loss"):
        missing.append("actor_rollout_ref.actor.use_kl_loss=true")
    if not (model.get("lora_rank") or (model.get("lora") or {}).get("rank")):
        missing.append("actor_rollout_ref.model.lora_rank > 0")
    if missing:
        raise ConfigurationError(
            "segments.number_by=fitted reads verl's reference, the actor without its adapter, and "
            f"needs {' and '.join(missing)}; or take segments.number_by=drawn"
        )
