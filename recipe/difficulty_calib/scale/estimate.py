"""Memory of a card and time of a stage, from shapes, options and assumed rates. No GPU is asked.

Memory is what must be held at once; time is work over rate, one phase after the other. Fragments,
NCCL's buffers and overlap of communication with work are not in it, but for `CONTEXT_GIB`.
"""

from dataclasses import dataclass

from recipe.difficulty_calib.scale import assumed
from recipe.difficulty_calib.scale.assumed import Setup
from recipe.difficulty_calib.scale.profile import Profile
from recipe.difficulty_calib.scale.shapes import Llava

GIB = 2**30
LLAVA = Llava()
_PROMPT = LLAVA.image_tokens + assumed.QUESTION_TOKENS


@dataclass(frozen=True)
class Memory:
    """GiB on one card."""

    held: float  # base, adapter, its gradient and Adam's two moments: this card's shard
    training: float  # at the peak of a micro-batch, `held` included
    sampling: float  # while vLLM is awake, what of `held` stays on the card included
    cache_tokens: int  # tokens whose keys and values vLLM has room for; 0: not even its weights fit

    def fits(self, gib: float) -> bool:
        """Whether both phases fit on the card and vLLM can hold a few sequences."""
        return max(self.training, self.sampling) <= gib and self.cache_tokens >= 4 * _PROMPT


def held_bytes(profile: Profile, cards: int) -> float:
    """Bytes that a card's shard of the trainer holds: base, and 16 for each
    weight of the adapter.
    """
    base = LLAVA.parameters * profile.base_bytes
    return (base + 16 * LLAVA.adapter(profile.rank)) / cards


def activation_bytes(tokens: int, trained: bool = True) -> float:
    """Bytes of a micro-batch's activations at the peak.

    All of one layer, and the logits in bf16 and fp32. Trained with checkpoints at each layer: also
    the input of each, and the gradient of the logits.
    """
    one_layer = 2 * (8 * LLAVA.hidden + 4 * LLAVA.inner)
    logits = LLAVA.rows * (2 + 4)
    more = 2 * LLAVA.hidden * LLAVA.layers + LLAVA.rows * 4
    return float(tokens * (one_layer + logits + (more if trained else 0)))


def gathered_bytes() -> float:
    """Bytes of what FSDP2 gathers at once in bf16: a layer and the next, embedding and head."""
    return float(2 * (2 * LLAVA.layer + 2 * LLAVA.rows * LLAVA.hidden))


def memory(profile: Profile, setup: Setup) -> Memory:
    """What one card of a set-up holds in GRPO."""
    held = held_bytes(profile, setup.cards)
    activations = max(
        activation_bytes(profile.train_tokens),
        activation_bytes(profile.log_prob_tokens, trained=False),
    )
    peak = held + activations + gathered_bytes()
    vllm = profile.vllm_share * setup.card.gib * GIB
    weights = 2 * (LLAVA.parameters + LLAVA.adapter(profile.rank))
    room = vllm - weights - assumed.CONTEXT_GIB * GIB
    beside = 0.0 if profile.offloaded else held
    return Memory(
        held=held / GIB,
        training=peak / GIB + 2 * assumed.CONTEXT_GIB,
        sampling=(vllm + beside) / GIB + assumed.CONTEXT_GIB,
        cache_tokens=max(0, int(room / LLAVA.kv_bytes)),
    )


def sft_memory(profile: Profile, setup: Setup) -> float:
    """GiB on one card at the peak of an SFT micro-batch."""
    held = held_bytes(profile, setup.cards)
    peak = held + activation_bytes(profile.sft_tokens) + gathered_bytes()
    return peak / GIB + assumed.CONTEXT_GIB


def compute_s(flops: float, setup: Setup) -> float:
    """Seconds of work that is spread over all cards."""
    return flops / (setup.cards * setup.card.flops * assumed.COMPUTE_SHARE)


def gather_s(tokens: float, per_micro_batch: int, gathers: int, setup: Setup) -> float:
    """Seconds in which the cards pass each other the base's shards,
    `gathers` times a micro-batch.
    """
    if setup.cards == 1:
        return 0.0
    rate = assumed.NETWORK if setup.nodes > 1 else setup.card.link
    micro_batches = max(1.0, tokens / setup.cards / per_micro_batch)
    return micro_batches * gathers * 2 * LLAVA.parameters / rate


def sampling_s(answers: float, tokens: float, cache: int, most: int, setup: Setup) -> float:
    """Seconds in which the cards write answers: each step of vLLM reads all weights, and the cache.

    Args:
        answers: over all cards.
        tokens: of an answer.
        cache: tokens of room on a card.
        most: sequences at once on a card.
    """
    length = _PROMPT + tokens / 2
    at_once = max(1.0, min(most, cache / length, answers / setup.cards))
    read = 2 * LLAVA.parameters + at_once * length * LLAVA.kv_bytes
    step = read / (setup.card.memory * assumed.BANDWIDTH_SHARE)
    return answers / setup.cards * tokens / at_once * step


@dataclass(frozen=True)
class Step:
    """Seconds of one GRPO step, by phase."""

    rollouts: float
    expert: float
    log_probs: float
    update: float

    @property
    def seconds(self) -> float:
        """Of the whole step; the expert judges while others are still sampled."""
        slower = max(self.rollouts, self.expert)
        return slower + self.log_probs + self.update + assumed.OVERHEAD_S


def step(profile: Profile, setup: Setup) -> Step:
    """One GRPO step: rollouts, log-probabilities of actor and reference, one update."""
    kept = profile.batch * profile.answers
    sampled = kept * assumed.SAMPLED_PER_KEPT
    cache = memory(profile, setup).cache_tokens
    prompts = sampled / profile.answers * _PROMPT  # the answers to a question share its prompt
    written = sampling_s(sampled, assumed.RESPONSE_TOKENS, cache, profile.vllm_sequences, setup)
    tokens = kept * (_PROMPT + assumed.RESPONSE_TOKENS)
    once = LLAVA.forward_flops * tokens
    return Step(
        rollouts=compute_s(prompts * LLAVA.forward_flops, setup) + written,
        expert=sampled / assumed.JUDGED_PER_S,
        log_probs=2
        * (compute_s(once, setup) + gather_s(tokens, profile.log_prob_tokens, 1, setup)),
        update=compute_s(3 * once, setup) + gather_s(tokens, profile.train_tokens, 2, setup),
    )


def steps(profile: Profile) -> int:
    """Steps of a GRPO training: verl drops an epoch's incomplete batch."""
    return profile.epochs * (assumed.RL_QUESTIONS // profile.batch)


def sft_hours(profile: Profile, setup: Setup) -> float:
    """Hours of SFT."""
    tokens = profile.sft_epochs * assumed.SFT_ANSWERS * (_PROMPT + assumed.RESPONSE_TOKENS)
    work = compute_s(tokens * LLAVA.trained_flops, setup)
    return (work + gather_s(tokens, profile.sft_tokens, 2, setup)) / 3600


@dataclass(frozen=True)
class StageOne:
    """Hours of stage one's sampling and verification, a replica of vLLM on each card."""

    sample: float
    verify: float
    fits: bool


def stage_one(setup: Setup, answers: int, share: float = 0.9) -> StageOne:
    """`answers` sampled answers a question; each verified by one forward pass (mode ``marginal``).

    Args:
        share: of the card that vLLM takes: no trainer is beside it.
    """
    room = share * setup.card.gib * GIB - 2 * LLAVA.parameters - assumed.CONTEXT_GIB * GIB
    cache = max(0, int(room / LLAVA.kv_bytes))
    prompts = assumed.QUESTIONS * _PROMPT
    written = sampling_s(assumed.QUESTIONS * answers, assumed.ANSWER_TOKENS, cache, 256, setup)
    again = assumed.QUESTIONS * answers * (_PROMPT + assumed.ANSWER_TOKENS)
    return StageOne(
        sample=(compute_s(prompts * LLAVA.forward_flops, setup) + written) / 3600,
        verify=compute_s(again * LLAVA.forward_flops, setup) / 3600,
        fits=cache >= 4 * _PROMPT,
    )
