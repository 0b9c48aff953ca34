"""Advantages by segment: each token is paid only by the part of the reward that it decides.

GRPO pays every token of a response with one number, so the digits of the confidence are credited
with the luck of the answer. Here a response falls into segments
(``algorithm.adv_estimator=segments``):

    segment   tokens                          reward r
    claim     the claims' texts               w_claim * factuality
    tag       "I'm sure.", "I'm not sure."    w_tag * (alignment + consistency)
    number    the confidence and its "%"      -w_number * delta * (o - target)^2
    rest      bullets, headings, the end      0; -delta for a malformed response, on all its tokens

The advantage of a token is its segment's r minus the mean of it over the group's well-formed
responses (of `rest`: over the group), divided by the group's standard deviation only if
``algorithm.norm_adv_by_std_in_grpo`` says so.

The number's target y is the expert's verdict o_expert (``instance``), the mean verdict of the group
(``group``), or half of each (``hybrid``). (o - y)^2 is a proper score for each: best at E[y], the
chance of being right. The group's mean has less variance, and says nothing of this answer against
the group's others; hence the half.

With ``segments.number_by`` other than ``drawn`` the trainer pays a number's digits by all that
might stand there (`number_loss`), which needs no group to be quiet, and takes their advantage away.

A confidence that is stated on two lines is paid on both: the reward reads the two as one number,
and different ones are a defect. The percent sign says what number the digits are, and is paid with
them.

Responses that the expert could not judge get advantage 0 and count in no mean.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_fns.claims import parse_response
from reward_fns.errors import ConfigurationError
from reward_fns.response_text import Span

REST, CLAIM, TAG, NUMBER = range(4)
NAMES = {CLAIM: "claim", TAG: "tag", NUMBER: "number", REST: "rest"}
TARGETS = ("instance", "group", "hybrid")
NUMBER_BY = ("drawn", "expected", "projected", "fitted")
_EPSILON = 1e-6
_PERCENT = re.compile(r"[^\S\r\n]*%")  # on the number's line

Kinds = NDArray[np.int8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SegmentOptions:
    """``trainer.v1.difficulty_guided.segments``.

    Attributes:
        target: of the number, one of `TARGETS`; ``fitted`` has one of its own.
        number_by: ``drawn`` pays the number that was drawn, the others its digits by the
            probabilities of all that might stand there (`number_loss`); these are not divided by a
            standard deviation, and not clipped where a batch is passed over more than once.
        number_step: of ``projected``, how far the mean number goes to its target, in (0, 1].
        claim, tag, number: weights, >= 0. A number is few tokens among many, and the loss is
            averaged over all of a response's.

    Raises:
        ConfigurationError: another target or way, a negative weight, or a step beyond (0, 1].
    """

    target: str = "hybrid"
    number_by: str = "fitted"
    number_step: float = 0.1
    claim: float = 1.0
    tag: float = 1.0
    number: float = 16.0

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ConfigurationError(
                f"segments.target is one of {', '.join(TARGETS)}, got {self.target!r}"
            )
        if self.number_by not in NUMBER_BY:
            raise ConfigurationError(
                f"segments.number_by is one of {', '.join(NUMBER_BY)}, got {self.number_by!r}"
            )
        if not 0 < self.number_step <= 1:
            raise ConfigurationError(f"segments.number_step is in (0, 1], got {self.number_step}")
        weights = (self.claim, self.tag, self.number)
        if not all(isinstance(w, int | float) and 0 <= w < math.inf for w in weights):
            raise ConfigurationError(f"segments.{{claim, tag, number}} are >= 0, got {self}")


@dataclass(frozen=True)
class Rollout:
    """A response of a group.

    Attributes:
        group: the same for all answers to one prompt.
        kinds: (L,) of each token, REST, CLAIM, TAG or NUMBER.
        reward: as `reward_fns.judging.reward_dict`.
        delta: the coefficient of its dataset, >= 0.
    """

    group: str
    kinds: Kinds
    reward: Mapping[str, float]
    delta: float


def token_kinds(pieces: Sequence[str], thinking: tuple[str, str] | None = None) -> Kinds:
    """The segment of each token, (L,), as the reward's parser reads the response.

    Args:
        pieces: the text that each token adds; "" for special tokens.
        thinking: tags of a thinking block, see `claims.parse_response`.

    A token that reaches into two segments belongs to the later one: number, tag, claim.

    >>> pieces = ["1.", " It", " is 7.", " I'm sure.", "\\n", "Confidence:", " 0", ".5"]
    >>> token_kinds(pieces).tolist()
    [0, 1, 1, 2, 0, 0, 3, 3]
    """
    text = "".join(pieces)
    parsed = parse_response(text, thinking, spans=True)
    spans = [(CLAIM, claim.text_span) for claim in parsed.claims]
    spans += [(TAG, claim.tag_span) for claim in parsed.claims]
    spans += [(NUMBER, _with_percent_sign(text, span)) for span in parsed.confidence_spans]
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    begins = ends - [len(piece) for piece in pieces]
    kinds = np.full(len(pieces), REST, dtype=np.int8)
    for kind, span in spans:
        if span is not None:
            kinds[(begins < span[1]) & (ends > span[0])] = kind
    return kinds


def _with_percent_sign(text: str, span: Span) -> Span:
    sign = _PERCENT.match(text, span[1])
    return (span[0], sign.end()) if sign else span


def decoded_pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text that each token adds to a response, special tokens adding none.

    Raises:
        ConfigurationError: a tokenizer without a Rust backend, which cannot be read token by token.
    """
    from tokenizers.decoders import DecodeStream

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConfigurationError(
            "algorithm.adv_estimator=segments needs a fast tokenizer: this model has none"
        )
    stream = DecodeStream(skip_special_tokens=True)
    return [stream.step(backend, token) or "" for token in ids]


def segment_advantages(
    rollouts: Sequence[Rollout], options: SegmentOptions, divide_by_std: bool = False
) -> list[Floats]:
    """The advantage of each token of each rollout, (L,) each."""
    found = [np.zeros(len(rollout.kinds)) for rollout in rollouts]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, rollout in enumerate(rollouts):
        if not rollout.reward["expert_failed"]:
            groups[rollout.group].append(index)
    targets = number_targets(rollouts, options)
    for members in groups.values():
        _advantages_of_group(rollouts, members, targets, options, divide_by_std, found)
    return found


def number_targets(rollouts: Sequence[Rollout], options: SegmentOptions) -> list[float | None]:
    """y of each rollout's number, in [0, 1]; None of a malformed one and one without a verdict."""
    verdicts: dict[str, list[float]] = defaultdict(list)
    for rollout in rollouts:
        if _counts(rollout):
            verdicts[rollout.group].append(rollout.reward["acc"])
    share = {"instance": 1.0, "group": 0.0, "hybrid": 0.5}[options.target]
    return [
        share * rollout.reward["acc"] + (1 - share) * float(np.mean(verdicts[rollout.group]))
        if _counts(rollout)
        else None
        for rollout in rollouts
    ]


def _counts(rollout: Rollout) -> bool:
    return bool(rollout.reward["well_formed"]) and not rollout.reward["expert_failed"]


def _advantages_of_group(
    rollouts: Sequence[Rollout],
    members: Sequence[int],
    targets: Sequence[float | None],
    options: SegmentOptions,
    divide_by_std: bool,
    into: list[Floats],
) -> None:
    well_formed = [i for i in members if rollouts[i].reward["well_formed"]]
    form = {i: 0.0 if i in well_formed else -rollouts[i].delta for i in members}
    for i, advantage in _relative(form, divide_by_std).items():
        everywhere = i not in well_formed
        into[i][everywhere | (rollouts[i].kinds == REST)] = advantage
    if not well_formed:
        return
    for kind, reward_of in _rewards(options).items():
        rewards = {i: reward_of(rollouts[i], targets[i]) for i in well_formed}
        for i, advantage in _relative(rewards, divide_by_std).items():
            into[i][rollouts[i].kinds == kind] = advantage


def _rewards(options: SegmentOptions) -> dict[int, Callable[[Rollout, Any], float]]:
    """Segment -> its reward of a well-formed rollout with its number's target."""

    def claim(rollout: Rollout, _: Any) -> float:
        return options.claim * rollout.reward["factuality"]

    def tag(rollout: Rollout, _: Any) -> float:
        return options.tag * (rollout.reward["alignment"] + rollout.reward["consistency"])

    def number(rollout: Rollout, target: float) -> float:
        return -options.number * rollout.delta * (rollout.reward["confidence"] - target) ** 2

    return {CLAIM: claim, TAG: tag, NUMBER: number}


def _relative(rewards: Mapping[int, float], divide_by_std: bool) -> dict[int, float]:
    """Rewards against their mean; of a lone one nothing can be said: 0."""
    values = np.array(list(rewards.values()))
    scale = values.std(ddof=1) + _EPSILON if divide_by_std and len(values) > 1 else 1.0
    return dict(zip(rewards, ((values - values.mean()) / scale).tolist(), strict=True))


def segment_curves(rollouts: Sequence[Rollout], advantages: Sequence[Floats]) -> dict[str, float]:
    """A step's ``segment/<name>/tokens``, share of all tokens, and ``segment/<name>/advantage``,
    mean size.
    """
    kinds = np.concatenate([rollout.kinds for rollout in rollouts])
    sizes = np.abs(np.concatenate(advantages))
    curves = {}
    for kind, name in NAMES.items():
        of_kind = kinds == kind
        curves[f"segment/{name}/tokens"] = float(of_kind.mean())
        curves[f"segment/{name}/advantage"] = float(sizes[of_kind].mean()) if of_kind.any() else 0.0
    return curves
