"""Names of models and protocols: their order, their titles, training steps, and
what the paper calls them.

A checkpoint within a training run is named `NAME@STEP`, for instance `rl@200`; `rl` alone is the
run's last one. `NAME_fixed` is a model trained with fixed coefficients (all 1) beside NAME, which
was trained with dynamic ones.
"""

import re
from collections.abc import Iterable

BASE = "base"
FIXED_SUFFIX = "_fixed"
MODEL_ORDER = (
    *("base", "sft", "r_tuning", "rl", "rl_fixed"),
    *("rl_proper", "rl_segments", "rl_on_base"),
)
PAPER_MODELS = {"base": "LLaVA", "sft": "LLaVA SFT", "r_tuning": "LLaVA R-Tuning", "rl": "LLaVA RL"}
"""Our name -> the model's name in Tables 2 and 5 to 10; Tables 11 and 12 leave out the
prefix of all but LLaVA.
"""

_MODEL_TITLES = {
    "base": "base",
    "sft": "SFT",
    "r_tuning": "R-Tuning",
    "rl": "RL (Algorithm 1)",
    "rl_fixed": "RL (fixed coefficients)",
    "rl_proper": "RL (proper rule)",
    "rl_segments": "RL (segments)",
    "rl_on_base": "RL adapter on base",
    "rl_segments_on_base": "RL (segments) adapter on base",
    "vcd": "VCD",
    "opera": "OPERA",
    "ha_dpo": "HA-DPO",
    "povid": "POVID",
    "rlaif_v": "RLAIF-V",
    "less_is_more": "Less-is-more",
}
_PROTOCOL_TITLES = {
    "dp": "DP",
    "dp_end": "DP (end token)",
    "dp_answer": "DP (answer)",
    "dp_sequence": "DP (sequence)",
    "sc": "SC",
    "sc_own": "SC (own answer)",
    "semantic_entropy": "Semantic entropy",
    "pcr": "PC-R",
    "verbal": "Verbal",
    "verbal_expected": "Verbal (expected)",
    "verbal_asked": "Verbal (asked)",
    "vcap": "VCAP",
    "tags": "Tags",
}
"""In the order of the paper's tables, a variant after its protocol. The paper
has those of one word.
"""


def checkpoint(name: str) -> tuple[str, int | None]:
    """Model and training step of a name; the step is None for a model that names none.

    >>> checkpoint("rl@200"), checkpoint("rl")
    (('rl', 200), ('rl', None))
    """
    match = re.fullmatch(r"(.+)@([0-9]+)", name)
    return (match[1], int(match[2])) if match else (name, None)


def ordered_models(names: Iterable[str]) -> list[str]:
    """The project's own models in the order of training, then others by name; checkpoints by
    step, before the last.
    """

    def key(name: str) -> tuple[int, str, float]:
        family, step = checkpoint(name)
        rank = MODEL_ORDER.index(family) if family in MODEL_ORDER else len(MODEL_ORDER)
        return rank, family, float("inf") if step is None else step

    return sorted(set(names), key=key)


def model_title(name: str) -> str:
    """A model's name as tables and figures show it."""
    family, step = checkpoint(name)
    title = _MODEL_TITLES.get(family, family)
    return title if step is None else f"{title}, step {step:,}"


def ordered_protocols(names: Iterable[str]) -> list[str]:
    """The paper's protocols in its order, each followed by its variants, then others by name."""
    order = list(_PROTOCOL_TITLES)

    def key(name: str) -> tuple[int, str]:
        protocol = name.split("+")[0]
        return order.index(protocol) if protocol in order else len(order), name

    return sorted(set(names), key=key)


def protocol_title(name: str) -> str:
    """A protocol's name as the paper writes it; one that it does not have is written as it is.

    >>> protocol_title("pcr"), protocol_title("pcr+isotonic")
    ('PC-R', 'PC-R + isotonic')
    """
    protocol, *posthoc = name.split("+")
    return " + ".join([_PROTOCOL_TITLES.get(protocol, protocol), *posthoc])
