"""The options of the 7B profile that memory and time depend on, read from its composed overlays."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Profile:
    """GRPO and SFT of one profile on one device."""

    rank: int
    batch: int
    answers: int
    epochs: int
    train_tokens: int  # at once on a card, in a micro-batch
    log_prob_tokens: int
    vllm_share: float
    vllm_sequences: int
    sft_batch: int
    sft_epochs: int
    sft_tokens: int
    base_bytes: int  # of a frozen weight in the trainer's memory
    offloaded: bool  # whether trainer and optimizer leave the card while answers are sampled


@lru_cache
def read(cards: int) -> Profile:
    """The profile ``llava_7b`` as it is composed for one card, or for eight and more."""
    from hydra import compose, initialize_config_module

    device = "gpu_8x80" if cards >= 8 else "gpu_1x80"
    with initialize_config_module("recipe.difficulty_calib.config", version_base=None):
        grpo = compose("llava_7b", overrides=[f"device={device}"])
        sft = compose("llava_7b_sft", overrides=[f"sft_device={device}"])
    return _profile(grpo, sft)


def _profile(grpo: Any, sft: Any) -> Profile:
    actor, rollout = grpo.actor_rollout_ref.actor, grpo.actor_rollout_ref.rollout
    fsdp = actor.fsdp_config
    return Profile(
        rank=grpo.actor_rollout_ref.model.lora_rank,
        batch=grpo.data.train_batch_size,
        answers=rollout.n,
        epochs=grpo.trainer.total_epochs,
        train_tokens=actor.ppo_max_token_len_per_gpu,
        log_prob_tokens=rollout.log_prob_max_token_len_per_gpu,
        vllm_share=rollout.gpu_memory_utilization,
        vllm_sequences=rollout.max_num_seqs,
        sft_batch=sft.data.train_batch_size,
        sft_epochs=sft.trainer.total_epochs,
        sft_tokens=sft.data.max_token_len_per_gpu,
        base_bytes=2 if str(fsdp.model_dtype) in ("bf16", "bfloat16") else 4,
        offloaded=bool(fsdp.param_offload),
    )
