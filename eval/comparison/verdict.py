"""One comparison: its numbers, the verdict that they allow, and both in words
(conditions: the package's text).
"""

import math
from dataclasses import dataclass
from typing import Literal

from eval.metrics import METRICS
from eval.naming.model_names import model_title, protocol_title
from eval.numbers.values import Interval
from eval.tables.table import Column, show

COMPARED = ("ece_debiased", "brier", "refinement", "auroc", "ece")
TITLES = {
    "ece_debiased": "debiased ECE",
    "brier": "Brier score",
    "refinement": "refinement",
    "auroc": "AUROC",
    "ece": "ECE",
}
SIGNIFICANCE = 0.05
"""Of a whole family, after Holm's adjustment."""
FEWEST_QUESTIONS = 30
LEAST_READABLE = 0.95
"""Share of a model's confidences that must be readable before it may be
called better than another.
"""
_NO_DIFFERENCE = 0.0005  # what rounds to 0.000
KEY_PAIRS = (
    ("sft", "base"),
    ("r_tuning", "base"),
    ("rl", "base"),
    ("rl", "sft"),
    ("rl", "r_tuning"),
    ("rl", "rl_fixed"),
    ("rl_proper", "base"),
    ("rl_proper", "sft"),
    ("rl_proper", "rl"),
    ("rl_segments", "base"),
    ("rl_segments", "sft"),
    ("rl_segments", "rl"),
    ("rl", "rl_on_base"),
)
"""The paper's questions: what each stage of training does, dynamic or fixed coefficients,
the adapter's backbone.
"""

Verdict = Literal["better", "worse", "undecided", "undefined"]


@dataclass(frozen=True)
class Comparison:
    """Metric of model A against that of model B, on the n answers that both have a confidence for.

    Attributes:
        questions: distinct ones among the n answers; None where each answers one of its own.
        readable_a, readable_b: share of the common answers whose confidence can be read, in
            [0, 1]; NaN where none is in common.
        worst: the difference on all common questions, with what cannot be read at its
            worst; None where all can be.
        debiased: for the plain ECE, the difference of the debiased ones on the
            same questions; else None.
        p_value: two-sided, of no difference; for the plain ECE the larger one of its
            own and the debiased one's.
        p_adjusted: Holm's, over the `family`; None for a pair that was compared alone.
        family: number of comparisons that p_adjusted is adjusted for.
    """

    protocol: str
    metric: str  # a name in COMPARED
    a: str
    b: str
    n: int
    value_a: float
    value_b: float
    difference: Interval  # A's value minus B's
    readable_a: float = 1.0
    readable_b: float = 1.0
    worst: Interval | None = None
    debiased: Interval | None = None
    p_value: float = math.nan
    p_adjusted: float | None = None
    family: int = 1
    questions: int | None = None

    @property
    def verdict(self) -> Verdict:
        """Of A against B; see the module's text."""
        _, low, high = self.difference
        if math.isnan(low) or math.isnan(high):
            return "undefined"
        sign = sign_of(self.difference)
        if self._few_questions() or sign == 0 or self._unreadable_winner(sign):
            return "undecided"
        if self.worst is not None and sign_of(self.worst) != sign:
            return "undecided"
        if not self._debiased_agrees(sign) or self._lost_among_many():
            return "undecided"
        return "better" if self._a_wins(sign) else "worse"

    def _few_questions(self) -> bool:
        """Answers to one question depend on each other: more samples of it
        are no more questions.
        """
        questions = self.n if self.questions is None else self.questions
        return questions < FEWEST_QUESTIONS

    def _a_wins(self, sign: int) -> bool:
        return (sign < 0) == METRICS[self.metric].lower_is_better

    def _debiased_agrees(self, sign: int) -> bool:
        return self.debiased is None or sign_of(self.debiased) == sign

    def _lost_among_many(self) -> bool:
        return self.p_adjusted is not None and not self.p_adjusted < SIGNIFICANCE

    def _unreadable_winner(self, sign: int) -> bool:
        return (self.readable_a if self._a_wins(sign) else self.readable_b) < LEAST_READABLE

    def phrase(self) -> str:
        """The verdict in words."""
        a, b = model_title(self.a), model_title(self.b)
        if self.n == 0:
            return (
                f"{a} and {b} cannot be compared by "
                f"{protocol_title(self.protocol)}{self._why_not()}"
            )
        if self.verdict == "undefined":
            return (
                f"{a} and {b} cannot be compared: {TITLES[self.metric]} is "
                "undefined for one of them"
            )
        if self.verdict == "undecided":
            return f"{a} and {b} cannot be told apart{self._why_undecided()}"
        return f"{a} {_PHRASES[self.metric][self.verdict]} {b}"

    def _why_undecided(self) -> str:
        if self._few_questions():
            return f" by fewer than {FEWEST_QUESTIONS} questions"
        sign = sign_of(self.difference)
        if sign and self._unreadable_winner(sign):
            wins = self._a_wins(sign)
            winner, share = (self.a, self.readable_a) if wins else (self.b, self.readable_b)
            return (
                f", since only {share:.0%} of the confidences of {model_title(winner)} can be read"
            )
        if sign and self.worst is not None and sign_of(self.worst) != sign:
            return " once the confidences that cannot be read count as wrong"
        if sign and not self._debiased_agrees(sign):
            return (
                ": the ECEs differ by no more than their bias, which is the smaller "
                "the blunter a model is"
            )
        if sign and self.family == 1:
            return ": the interval and the p-value disagree"
        if sign:
            return f" once adjusted for {self.family} comparisons (Holm)"
        return ""

    def _why_not(self) -> str:
        """Of a pair without an answer to compare."""
        if math.isnan(self.readable_a):
            return ", for they have no question in common: ask both the same questions"
        unread = [
            model_title(model)
            for model, share in ((self.a, self.readable_a), (self.b, self.readable_b))
            if share == 0
        ]
        if unread:
            return f", for no confidence of {' and of '.join(unread)} can be read"
        return ", for on no question can both confidences be read"

    def numbers(self) -> str:
        """Both values, their difference with its interval, and n."""
        n = f"n\u00a0=\u00a0{self.n:,}"
        if self.verdict == "undefined":
            return n
        values, ends = (
            f"{self.value_a:.3f} against {self.value_b:.3f}",
            [_signed(end) for end in self.difference],
        )
        return f"{TITLES[self.metric]} {values}, difference {ends[0]} [{ends[1]}, {ends[2]}], {n}"

    def sentence(self) -> str:
        """The verdict in words and its numbers."""
        return f"{self.phrase()}: {self.numbers()}."


_PHRASES = {
    "ece_debiased": {"better": "is better calibrated than", "worse": "is worse calibrated than"},
    "ece": {"better": "has a lower ECE than", "worse": "has a higher ECE than"},
    "refinement": {
        "better": "parts right from wrong more sharply, calibration aside, than",
        "worse": "parts right from wrong less sharply, calibration aside, than",
    },
    "auroc": {
        "better": "tells its right from its wrong answers better than",
        "worse": "tells its right from its wrong answers worse than",
    },
    "brier": {
        "better": "has more accurate confidences than",
        "worse": "has less accurate confidences than",
    },
}


def sign_of(difference: Interval) -> int:
    """-1 or 1 where the interval leaves 0 out, else 0."""
    _, low, high = difference
    if low > _NO_DIFFERENCE:
        return 1
    return -1 if high < -_NO_DIFFERENCE else 0


def _signed(value: float) -> str:
    return show(value, Column("", signed=True))
