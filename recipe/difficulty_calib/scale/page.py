"""SCALE.md: the tables, and beside them what is counted, what is read and what is assumed."""

from recipe.difficulty_calib.scale import assumed, estimate, profile
from recipe.difficulty_calib.scale.assumed import SETUPS, Setup
from recipe.difficulty_calib.scale.estimate import GIB, LLAVA

ANSWERS = 10  # a question, in stage one (data_prep/configs/paper.yaml)
COMMAND = "python -m recipe.difficulty_calib.scale > recipe/difficulty_calib/SCALE.md"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _memory_row(setup: Setup) -> list[str]:
    options = profile.read(setup.cards)
    found = estimate.memory(options, setup)
    fits = "yes" if found.fits(setup.card.gib) else "**no**"
    numbers = [found.held, estimate.sft_memory(options, setup), found.training, found.sampling]
    return [setup.name, *[f"{number:.0f}" for number in numbers], f"{found.cache_tokens:,}", fits]


def _time_row(setup: Setup) -> list[str]:
    options = profile.read(setup.cards)
    if not estimate.memory(options, setup).fits(setup.card.gib):
        return [setup.name, *["does not fit"] + ["-"] * 7]
    one, count = estimate.step(options, setup), estimate.steps(options)
    phases = [one.rollouts, one.expert, one.log_probs, one.update, one.seconds]
    sft = f"{estimate.sft_hours(options, setup) * 60:.0f} min"
    total = _hours(count * one.seconds / 3600)
    return [setup.name, sft, *[f"{phase:.0f}" for phase in phases], str(count), total]


def _stage_one_row(setup: Setup) -> list[str]:
    found = estimate.stage_one(setup, ANSWERS)
    if not found.fits:
        return [setup.name, "does not fit", "-", "-"]
    total = found.sample + found.verify
    return [setup.name, *[_hours(hours) for hours in (found.sample, found.verify, total)]]


def _counted() -> list[str]:
    options = profile.read(1)
    adapter = LLAVA.adapter(options.rank)
    return [
        f"- LLaVA-1.5-7B: {LLAVA.parameters:,} parameters, {2 * LLAVA.parameters / GIB:.1f} GiB in",
        (
            f"  bf16, {4 * LLAVA.parameters / GIB:.1f} GiB in fp32; "
            f"{LLAVA.image_tokens} tokens a picture."
        ),
        f"- LoRA of rank {options.rank} on seven matrices of each layer: {adapter:,} parameters;",
        (
            f"  with gradient and Adam in fp32 {16 * adapter / GIB:.1f} GiB, stored "
            f"{4 * adapter / GIB:.1f}."
        ),
        f"- Keys and values: {LLAVA.kv_bytes / 2**20:.1f} MiB a token in bf16.",
        f"- {LLAVA.forward_flops / 1e9:.1f} GFLOP a token forward,"
        f" {LLAVA.trained_flops / 1e9:.1f} trained (checkpointed, base frozen).",
    ]


def _read() -> list[str]:
    lines = []
    for cards in (1, 8):
        found = profile.read(cards)
        device = "gpu_8x80" if cards >= 8 else "gpu_1x80"
        lines += [
            f"- `device={device}`: {found.batch} questions a step, {found.answers} answers each;"
            f" {found.epochs} epochs of",
            f"  {assumed.RL_QUESTIONS:,}; micro-batches of {found.train_tokens:,} tokens (log-"
            f"probabilities {found.log_prob_tokens:,}); frozen",
            f"  weights of {found.base_bytes} bytes in the trainer"
            f"{', moved to the host while vLLM samples' if found.offloaded else ''};"
            f" vLLM takes {found.vllm_share:.0%} of a card.",
        ]
    return lines


def _assumed() -> list[str]:
    cards = {setup.card.name: setup.card for setup in SETUPS}.values()
    lines = [
        f"- {card.name}: {card.flops / 1e12:.0f} TFLOP/s in bf16, {card.memory / 1e12:.2f} TB/s,"
        f" {card.link / 1e9:.0f} GB/s from its node's others (data sheets)."
        for card in cards
    ]
    return [
        *lines,
        f"- Between nodes {assumed.NETWORK / 1e9:.0f} GB/s a card; nothing overlaps.",
        f"- {assumed.COMPUTE_SHARE:.0%} of the FLOP/s on long sequences,"
        f" {assumed.BANDWIDTH_SHARE:.0%} of the bandwidth while sampling.",
        f"- A question with its instruction {assumed.QUESTION_TOKENS} tokens, a response"
        f" {assumed.RESPONSE_TOKENS}, an answer of stage one {assumed.ANSWER_TOKENS}.",
        "- The answers to a question are sampled from one pass over its prompt (prefix caching).",
        f"- {assumed.SAMPLED_PER_KEPT:g} groups sampled for each that dynamic sampling keeps.",
        f"- The expert judges {assumed.JUDGED_PER_S:g} answers a second, while others are sampled.",
        f"- {assumed.OVERHEAD_S:g} s a step for weight sync, vLLM's sleep and Ray;"
        f" {assumed.CONTEXT_GIB:g} GiB of CUDA context a process.",
    ]


def text() -> str:
    """The whole page."""
    phases = ["rollouts s", "expert s", "log-probs s", "update s", "step s", "steps", "GRPO"]
    memory_heads = ["", "held", "SFT", "GRPO, update", "GRPO, sampling", "cache tokens", "fits"]
    lines = [
        "# What the 7B run needs",
        "",
        "Arithmetic, not a measurement: no GPU has run this. Made by",
        "",
        f"    {COMMAND}",
        "",
        "`bash examples/gpu_check.sh` measures tokens/s and memory on a card, with few layers.",
        "",
        "## Memory of a card, GiB",
        "",
        *_table(memory_heads, [_memory_row(setup) for setup in SETUPS]),
        "`held`: the trainer's shard. `cache tokens`: room in vLLM beside its weights; GRPO needs",
        "that of four prompts at least. With the adapter off the reference policy is the actor.",
        "",
        "## Time of SFT and GRPO",
        "",
        *_table(["", "SFT", *phases], [_time_row(setup) for setup in SETUPS]),
        "## Time of stage one",
        "",
        f"{assumed.QUESTIONS:,} questions, {ANSWERS} answers each, one verification an answer"
        " (`verify.mode: marginal`).",
        "",
        *_table(["", "sampling", "verification", "both"], [_stage_one_row(s) for s in SETUPS]),
        "Not in it: the expert of stage one, an API whose limit decides.",
        "",
        "## Counted from the shapes (tests hold parameters to transformers' and peft's)",
        "",
        *_counted(),
        "",
        "## Read from the configuration",
        "",
        *_read(),
        "",
        "## Assumed",
        "",
        *_assumed(),
    ]
    return "\n".join(lines) + "\n"
