"""Two models on the same questions: the difference of a metric, its interval, and what may be said about it in words.

The values stand on the questions on which both models' confidences can be read (paired by question and sample); for
each pair their number is n. The difference is A's value minus B's; the 95 % interval is a paired bootstrap: both models
are resampled with the same questions, within each dataset. A verdict of "better" or "worse" needs

- an interval without 0, whose end does not round to 0.000: the same model through two engines differs by less than
  that, in its floats;
- at least 30 questions, below which such an interval is too narrow;
- a winner whose confidence can be read on at least 95 % of the questions: nobody wins by not being readable;
- for ECE, a Brier score that does not say the opposite: the ECE of few answers is biased upwards, the more the further
  confidences are spread, so that of two perfectly calibrated models the blunt one would often be called better;
- the same outcome on all questions, with a confidence that cannot be read at its worst (1 where the answer is wrong, 0
  where it is right).

Else it is "undecided". Each interval stands for itself: of many pairs without a difference one in twenty leaves 0 out
by chance. A metric that is undefined for one of the two (AUROC with one class, n = 0) gives "undefined".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from eval.metrics import METRICS, paired_bootstrap_difference
from eval.metrics.ranked import estimate
from eval.model_names import checkpoint, model_title, protocol_title
from eval.records import AnswerRecord
from eval.report.numbers import question_key, scored
from eval.tables.report_tables import ESTIMATOR_NOTES
from eval.tables.table import Cell, Column, Interval, Table, show

COMPARED = ("ece", "auroc", "brier")
_TITLES = {"ece": "ECE", "auroc": "AUROC", "brier": "Brier score"}
FEWEST_QUESTIONS = 30
LEAST_READABLE = 0.95
"""Share of a model's confidences that must be readable before it may be called better than another."""
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
"""The paper's questions: what each stage of training does, dynamic or fixed coefficients, the adapter's backbone."""

Verdict = Literal["better", "worse", "undecided", "undefined"]


@dataclass(frozen=True)
class Comparison:
    """Metric of model A against that of model B, on the n questions that both have a confidence for.

    Attributes:
        readable_a, readable_b: share of the common questions whose confidence can be read, in [0, 1].
        worst: the difference on all common questions, with what cannot be read at its worst; None where all can be.
        brier: for ECE, the difference of the Brier scores on the same questions; else None.
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
    brier: Interval | None = None

    @property
    def verdict(self) -> Verdict:
        """Of A against B; see the module's text."""
        _, low, high = self.difference
        if math.isnan(low) or math.isnan(high):
            return "undefined"
        sign = _sign(self.difference)
        if self.n < FEWEST_QUESTIONS or sign == 0 or self._unreadable_winner(sign):
            return "undecided"
        if self.worst is not None and _sign(self.worst) != sign:
            return "undecided"
        if self._brier_says_the_opposite(sign):
            return "undecided"
        return "better" if self._a_wins(sign) else "worse"

    def _a_wins(self, sign: int) -> bool:
        return (sign < 0) == METRICS[self.metric].lower_is_better

    def _brier_says_the_opposite(self, sign: int) -> bool:
        return self.brier is not None and _sign(self.brier) == -sign

    def _unreadable_winner(self, sign: int) -> bool:
        return (self.readable_a if self._a_wins(sign) else self.readable_b) < LEAST_READABLE

    def phrase(self) -> str:
        """The verdict in words."""
        a, b = model_title(self.a), model_title(self.b)
        if self.verdict == "undefined":
            return f"{a} and {b} cannot be compared: {_TITLES[self.metric]} is undefined for one of them"
        if self.verdict == "undecided":
            return f"{a} and {b} cannot be told apart{self._why_undecided()}"
        return f"{a} {_PHRASES[self.metric][self.verdict]} {b}"

    def _why_undecided(self) -> str:
        if self.n < FEWEST_QUESTIONS:
            return f" by fewer than {FEWEST_QUESTIONS} questions"
        sign = _sign(self.difference)
        if sign and self._unreadable_winner(sign):
            wins = self._a_wins(sign)
            winner, share = (self.a, self.readable_a) if wins else (self.b, self.readable_b)
            return (
                f", since only {share:.0%} of the confidences of {model_title(winner)} can be read"
            )
        if sign and self._brier_says_the_opposite(sign):
            return ": the lower ECE has the higher Brier score, as blunt confidences do"
        if sign:
            return " once the confidences that cannot be read count as wrong"
        return ""

    def numbers(self) -> str:
        """Both values, their difference with its interval, and n."""
        n = f"n\u00a0=\u00a0{self.n:,}"
        if self.verdict == "undefined":
            return n
        values, ends = (
            f"{self.value_a:.3f} against {self.value_b:.3f}",
            [_signed(end) for end in self.difference],
        )
        return f"{_TITLES[self.metric]} {values}, difference {ends[0]} [{ends[1]}, {ends[2]}], {n}"

    def sentence(self) -> str:
        """The verdict in words and its numbers."""
        return f"{self.phrase()}: {self.numbers()}."


_PHRASES = {
    "ece": {"better": "is better calibrated than", "worse": "is worse calibrated than"},
    "auroc": {
        "better": "tells its right from its wrong answers better than",
        "worse": "tells its right from its wrong answers worse than",
    },
    "brier": {
        "better": "has more accurate confidences than",
        "worse": "has less accurate confidences than",
    },
}


def _sign(difference: Interval) -> int:
    """-1 or 1 where the interval leaves 0 out, else 0."""
    _, low, high = difference
    if low > _NO_DIFFERENCE:
        return 1
    return -1 if high < -_NO_DIFFERENCE else 0


def _signed(value: float) -> str:
    return show(value, Column("", signed=True))


def compare(a: Sequence[AnswerRecord], b: Sequence[AnswerRecord], metric: str) -> Comparison:
    """Compare two models' records of one protocol, neither empty.

    Args:
        metric: a name in `COMPARED`.
    """
    of_b = {record.key: record for record in b}
    common = [(x, of_b[x.key]) for x in a if x.key in of_b]
    pairs = [(x, y) for x, y in common if x.confidence is not None and y.confidence is not None]
    strata = [x.dataset for x, _ in pairs]
    (c_a, y_a), (c_b, y_b) = scored([x for x, _ in pairs]), scored([y for _, y in pairs])
    questions = [question_key(x) for x, _ in pairs]
    found = paired_bootstrap_difference(
        metric, c_a, y_a, c_b, y_b, strata=strata, clusters=questions
    )
    return Comparison(
        readable_a=_readable([x for x, _ in common]),
        readable_b=_readable([y for _, y in common]),
        worst=None if len(pairs) == len(common) else _at_worst(common, metric),
        brier=_brier(pairs) if metric == "ece" else None,
        protocol=a[0].protocol,
        metric=metric,
        a=a[0].model,
        b=b[0].model,
        n=len(pairs),
        value_a=estimate(METRICS[metric].rows, c_a, y_a),
        value_b=estimate(METRICS[metric].rows, c_b, y_b),
        difference=Interval(found.value, found.low, found.high),
    )


def _readable(records: Sequence[AnswerRecord]) -> float:
    return sum(r.confidence is not None for r in records) / len(records) if records else 0.0


def _brier(pairs: Sequence[tuple[AnswerRecord, AnswerRecord]]) -> Interval:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    found = paired_bootstrap_difference(
        "brier",
        *scored(a),
        *scored(b),
        strata=[x.dataset for x in a],
        clusters=[question_key(x) for x in a],
    )
    return Interval(found.value, found.low, found.high)


def _at_worst(common: Sequence[tuple[AnswerRecord, AnswerRecord]], metric: str) -> Interval:
    """The difference on all questions; a confidence that cannot be read is 1 - correct."""

    def filled(records: Sequence[AnswerRecord]) -> list[float]:
        return [1 - r.correct if r.confidence is None else r.confidence for r in records]

    a, b = [x for x, _ in common], [y for _, y in common]
    found = paired_bootstrap_difference(
        metric,
        filled(a),
        [x.correct for x in a],
        filled(b),
        [y.correct for y in b],
        strata=[x.dataset for x in a],
        clusters=[question_key(x) for x in a],
    )
    return Interval(found.value, found.low, found.high)


Groups = Mapping[str, Mapping[str, Sequence[AnswerRecord]]]
"""model -> protocol -> records, as `report.by_model_and_protocol` gives them."""


def compare_all(
    groups: Groups, metrics: Sequence[str] = COMPARED, with_checkpoints: bool = False
) -> list[Comparison]:
    """Every pair of models, as `KEY_PAIRS` has it, else the later one in the order of training as A.

    Args:
        metrics: names in `COMPARED`.
        with_checkpoints: also those within a training run (NAME@STEP); in the report a figure shows their course.
    """
    models = [model for model in groups if with_checkpoints or checkpoint(model)[1] is None]
    pairs = [(a, b) if (b, a) not in KEY_PAIRS else (b, a) for b, a in combinations(models, 2)]
    return [
        compare(groups[a][protocol], groups[b][protocol], metric)
        for protocol in dict.fromkeys(
            protocol for protocols in groups.values() for protocol in protocols
        )
        for a, b in pairs
        if protocol in groups[a] and protocol in groups[b]
        for metric in metrics
    ]


def key_comparisons(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Those of `KEY_PAIRS`; all of them if none is such a pair (models with names of their own)."""
    known = {(c.protocol, c.metric, c.a, c.b): c for c in comparisons}
    slots = dict.fromkeys((c.protocol, c.metric) for c in comparisons)
    found = [
        known[(*slot, *pair)] for slot in slots for pair in KEY_PAIRS if (*slot, *pair) in known
    ]
    return found or list(comparisons)


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """A row a pair, protocol and metric."""
    rows: list[tuple[Cell, ...]] = [
        (
            protocol_title(c.protocol),
            _TITLES[c.metric],
            model_title(c.a),
            model_title(c.b),
            None if math.isnan(c.value_a) else c.value_a,
            None if math.isnan(c.value_b) else c.value_b,
            None if c.verdict == "undefined" else c.difference,
            {"better": "A is better", "worse": "A is worse"}.get(c.verdict, c.verdict),
            c.n,
        )
        for c in comparisons
    ]
    columns = (
        Column("protocol"),
        Column("metric"),
        Column("model A"),
        Column("model B"),
        Column("A"),
        Column("B"),
        Column("A − B", signed=True),
        Column("verdict"),
        Column("n"),
    )
    notes = (
        "Both models on the questions on which both confidences can be read; A − B with its 95 % paired bootstrap "
        f"interval. Undecided: the interval holds 0 (to three digits), n is below {FEWEST_QUESTIONS}, the better one "
        f"is readable on less than {LEAST_READABLE:.0%}, the outcome changes once what cannot be read is taken at its "
        f"worst, or the lower ECE has the higher Brier score. Intervals are "
        f"not adjusted for the number of pairs: of {len(comparisons)} rows "
        f"without a difference about {round(0.05 * len(comparisons))} would leave 0 out by chance.",
        *ESTIMATOR_NOTES,
    )
    return Table(
        "comparisons",
        "Models against each other, on the same questions",
        columns,
        tuple(rows),
        notes,
    )
