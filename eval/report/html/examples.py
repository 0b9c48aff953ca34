"""Example answers: which questions the page shows, and each model's claims with what
tag and judge say of them.

Chosen by a rule, not by hand, so that nobody picks the nice ones. One model is the guide (RL if it
is there, else the last one). A third of the questions are those where its confidence is furthest
above the verdict, a third those where it is furthest below, the rest are drawn by a hash of the
question's id; the datasets take turns in each third.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.naming.model_names import checkpoint, model_title, ordered_protocols, protocol_title
from eval.records import VERBAL, AnswerRecord
from eval.records.chosen import by_model_and_protocol
from eval.report.html.pictures import Picture

QUESTIONS = 24
_GUIDE = "rl"
_LONGEST = 1200  # characters of an answer that has no claims to show
_FAR = 0.5  # confidence and verdict differ by more: over- or under-confident
REASONS = {"over": "most over-confident", "under": "most under-confident", "random": "at random"}


@dataclass(frozen=True)
class ShownClaim:
    """A claim as its model tagged it and the judge labelled it; `right` is None
    where nobody judged it.
    """

    text: str
    sure: bool
    right: bool | None

    @property
    def kind(self) -> str:
        """CSS classes and filter: "right sure", "wrong unsure", "unjudged sure", ..."""
        label = "unjudged" if self.right is None else "right" if self.right else "wrong"
        return f"{label} {'sure' if self.sure else 'unsure'}"


@dataclass(frozen=True)
class ShownAnswer:
    """One model's answer to an example question; `text` is shown where there are no claims."""

    model: str
    confidence: float | None
    correct: float
    claims: tuple[ShownClaim, ...]
    text: str

    @property
    def kind(self) -> str:
        """ "over", "under" or "fair": how far confidence and verdict are apart; "unread"
        without a confidence.
        """
        if self.confidence is None:
            return "unread"
        gap = self.confidence - self.correct
        return "over" if gap > _FAR else "under" if gap < -_FAR else "fair"


@dataclass(frozen=True)
class Example:
    """A question with its answers, the first model first."""

    question_id: str
    dataset: str
    task: str
    question: str
    reason: str  # a key of REASONS
    answers: tuple[ShownAnswer, ...]


@dataclass(frozen=True)
class Examples:
    """All example questions; `guide` is the title of the model that they were chosen by."""

    protocol: str
    guide: str
    shown: tuple[Example, ...]


def choose_examples(records: Sequence[AnswerRecord], size: int = QUESTIONS) -> Examples:
    """At most `size` example questions; see the module's text. Verbal answers if there are any,
    else of the first protocol. Of several samples the first is shown; checkpoints (NAME@STEP) are
    left out if there are other models.
    """
    protocols = ordered_protocols(record.protocol for record in records)
    protocol = VERBAL if VERBAL in protocols else protocols[0]
    by_model = by_model_and_protocol([r for r in records if r.protocol == protocol])
    groups = {name: by_protocol[protocol] for name, by_protocol in by_model.items()}
    models = [name for name in groups if checkpoint(name)[1] is None] or list(groups)
    guide = _GUIDE if _GUIDE in models else models[-1]
    first = {name: _first_samples(groups[name]) for name in models}
    reasons = _choose(list(first[guide].values()), size)
    shown = []
    for question_id, reason in reasons.items():
        asked = first[guide][question_id]
        given = [answers[question_id] for answers in first.values() if question_id in answers]
        shown.append(
            Example(
                question_id=question_id,
                dataset=asked.dataset,
                task=asked.task,
                question=asked.question,
                reason=reason,
                answers=tuple(map(_shown, given)),
            )
        )
    return Examples(protocol_title(protocol), model_title(guide), tuple(shown))


def _first_samples(records: Sequence[AnswerRecord]) -> dict[str, AnswerRecord]:
    """Question id -> the first answer to it."""
    return {record.question_id: record for record in records if record.sample == 0}


def _choose(records: Sequence[AnswerRecord], size: int) -> dict[str, str]:
    """Question id -> reason."""

    def gap(record: AnswerRecord) -> float:
        return 0.0 if record.confidence is None else record.confidence - record.correct

    def drawn(record: AnswerRecord) -> str:
        return hashlib.sha256(record.question_id.encode()).hexdigest()

    over = _taking_turns(
        sorted((r for r in records if gap(r) > 0), key=lambda r: (-gap(r), drawn(r)))
    )
    under = _taking_turns(
        sorted((r for r in records if gap(r) < 0), key=lambda r: (gap(r), drawn(r)))
    )
    chosen = dict.fromkeys((r.question_id for r in over[: size // 3]), "over")
    chosen |= dict.fromkeys((r.question_id for r in under[: size // 3]), "under")
    for record in _taking_turns(sorted(records, key=drawn)):
        if len(chosen) >= size:
            break
        chosen.setdefault(record.question_id, "random")
    return chosen


def _taking_turns(records: Sequence[AnswerRecord]) -> list[AnswerRecord]:
    """The same records with the datasets in turn, each in its order."""
    by_dataset: dict[str, list[AnswerRecord]] = defaultdict(list)
    for record in records:
        by_dataset[record.dataset].append(record)
    turns = [
        (place, dataset, record)
        for dataset, part in by_dataset.items()
        for place, record in enumerate(part)
    ]
    return [record for *_, record in sorted(turns, key=lambda turn: turn[:2])]


def _shown(record: AnswerRecord) -> ShownAnswer:
    labels = [*record.claim_labels, *[None] * (len(record.claims) - len(record.claim_labels))]
    claims = tuple(
        ShownClaim(str(claim["text"]), bool(claim["sure"]), None if label is None else bool(label))
        for claim, label in zip(record.claims, labels, strict=False)
    )
    text = (
        record.response if len(record.response) <= _LONGEST else record.response[:_LONGEST] + " …"
    )
    return ShownAnswer(
        model_title(record.model), record.confidence, record.correct, claims, "" if claims else text
    )


def reference_text(picture: Picture) -> str:
    """The reference answer in words: the facts of a JSON ground truth, else the text itself."""
    try:
        content: Any = json.loads(picture.reference)
    except ValueError:
        return picture.reference
    if isinstance(content, Mapping) and isinstance(content.get("facts"), list):
        return " ".join(map(str, content["facts"]))
    return picture.reference
