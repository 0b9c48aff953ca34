"""What a record file holds: an answer, a confidence in it, and the two joined."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

VERBAL = "verbal"
MOST_TRUNCATED = 0.05
"""Of a model's answers: above it commands and reports warn that too many were cut off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One judged answer of one model. Raises ValueError for a value out of range.

    Attributes:
        model: its name in this evaluation; NAME@STEP for a checkpoint of a training run.
        correct: the judge's overall verdict, in [0, 1].
        expert: identity of the judge; `expert_version`: of its prompt or rule.
        claims: {"text": str, "sure": bool} each; `claim_labels` 0 or 1 for each, [] if
            only the whole was judged.
        stated_confidence: the overall confidence that the answer itself states, in [0, 1];
            None if it cannot be read.
        reading: forms that the strict reader does not take and the lenient one did
            (`reward_fns.lenient`); [] for a well-formed answer.
        sample: 0, 1, ... where a question was answered several times.
        subset: "entailment", "contradiction" or "neutral" from stage one; "" if unknown. Likewise
            None for share_true (share of sampled answers that were true), vote_margin and
            entity_rarity (r/c of Eq. 1-3).
        probabilities: of the answer's tokens, see `protocols.direct`; {} if the engine gave none.
        probability_tokens: the token that each of them stands on, or how many; {} if unknown.
        finish_reason: "stop" where the answer ended by itself, "length" where it was cut off; ""
            if unknown (in records that were made before it was kept).
        tag_probabilities: of "sure" against "not sure" for each claim, None if
            unknown; see `protocols.tags`.
    """

    model: str
    dataset: str
    task: str  # "QA" | "Detail"
    question_id: str
    question: str
    image_id: str
    entity: str  # "" if none
    response: str
    correct: float
    well_formed: bool
    expert: str
    claims: list[dict[str, Any]] = field(default_factory=list)
    claim_labels: list[int] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    expert_version: str = ""
    stated_confidence: float | None = None
    reading: list[str] = field(default_factory=list)
    sample: int = 0
    subset: str = ""
    share_true: float | None = None
    vote_margin: float | None = None
    entity_rarity: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    tag_probabilities: list[float | None] = field(default_factory=list)
    probability_tokens: dict[str, str | int] = field(default_factory=dict)
    finish_reason: str = ""

    def __post_init__(self) -> None:
        _check_unit("correct", self.correct)
        if self.stated_confidence is not None:
            _check_unit("stated_confidence", self.stated_confidence)

    @property
    def key(self) -> str:
        """Names this answer among those of its model."""
        return answer_key(self.question_id, self.sample)

    @property
    def truncated(self) -> bool | None:
        """Whether the answer was cut off; None if unknown."""
        return self.finish_reason == "length" if self.finish_reason else None


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """What a protocol found for one answer. Raises ValueError for a confidence outside [0, 1].

    Attributes:
        confidence: None where it could not be read (a parse failure: counted, never dropped).
        texts: what the model wrote when the protocol asked it; [] for a protocol that asks nothing.
        detail: what the confidence was computed from, by name.
    """

    question_id: str
    sample: int
    confidence: float | None
    texts: list[str] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.confidence is not None:
            _check_unit("confidence", self.confidence)

    @property
    def key(self) -> str:
        """Names the answer that it belongs to."""
        return answer_key(self.question_id, self.sample)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRecord(Answer):
    """An answer with one protocol's confidence: what metrics, tables and figures are made from."""

    protocol: str
    confidence: float | None  # in [0, 1]; None: it could not be read
    texts: list[str] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Answer.__post_init__(self)
        if self.confidence is not None:
            _check_unit("confidence", self.confidence)


def answer_key(question_id: str, sample: int) -> str:
    """Names an answer among those of its model, in every record file."""
    return f"{question_id}#{sample}"


def question_key(answer: Answer) -> str:
    """Names an answer's question with its dataset: all answers to it are resampled together.

    The first slash ends the tag: question c of a/b is not question b/c of a.
    """
    return f"{_quoted(answer.dataset)}/{answer.question_id}"


@cache
def _quoted(tag: str) -> str:
    return quote(tag, safe="")


def _check_unit(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def truncated_share(answers: Iterable[Answer]) -> float | None:
    """Share of the answers that were cut off, of those of which it is known; None if of none."""
    known = [answer.truncated for answer in answers if answer.truncated is not None]
    return sum(known) / len(known) if known else None
