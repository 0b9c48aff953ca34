"""Two models on the same questions: the difference of a metric, its interval, and what may be said about it in words.

The values stand on the questions on which both models' confidences can be read (paired by question and sample); for
each pair their number is n. The difference is A's value minus B's, on the same questions, with its 95 % interval: for
`ece_debiased` and `refinement` that of their own law (`metrics.debiased`), else a paired bootstrap within each dataset.
A verdict of "better" or "worse" needs

- an interval without 0, whose end does not round to 0.000: the same model through two engines differs by less than
  that, in its floats;
- at least 30 questions, below which such an interval is too narrow;
- a winner whose confidence can be read on at least 95 % of the questions: nobody wins by not being readable;
- a p-value below 0.05 after Holm's adjustment over the family: all pairs and protocols of one report and metric;
- the same outcome on all questions, with a confidence that cannot be read at its worst (1 where the answer is wrong, 0
  where it is right).

Else it is "undecided". A metric that is undefined for one of the two (AUROC with one class, n = 0) gives "undefined".

"Better calibrated" rests on the debiased ECE, which does not favour the blunter of two calibrated models as the plain
ECE does; Brier = ece_debiased^2 + refinement stands beside it with both parts. The plain ECE, the paper's estimator, is
shown by its name; its verdict needs the debiased one to say the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from eval.columns import Columns, columns, in_common
from eval.metrics import METRICS, Difference, estimate_value, paired_bootstrap_differences
from eval.model_names import checkpoint, model_title, protocol_title
from eval.records import AnswerRecord
from eval.report.cores import on_both_cores
from eval.tables.report_tables import ESTIMATOR_NOTES
from eval.tables.table import Cell, Column, Interval, Table, show

COMPARED = ("ece_debiased", "brier", "refinement", "auroc", "ece")
_TITLES = {
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
    """Metric of model A against that of model B, on the n answers that both have a confidence for.

    Attributes:
        questions: distinct ones among the n answers; None where each answers one of its own.
        readable_a, readable_b: share of the common answers whose confidence can be read, in [0, 1]; NaN where none is
            in common.
        worst: the difference on all common questions, with what cannot be read at its worst; None where all can be.
        debiased: for the plain ECE, the difference of the debiased ones on the same questions; else None.
        p_value: two-sided, of no difference; for the plain ECE the larger one of its own and the debiased one's.
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
        sign = _sign(self.difference)
        if self._few_questions() or sign == 0 or self._unreadable_winner(sign):
            return "undecided"
        if self.worst is not None and _sign(self.worst) != sign:
            return "undecided"
        if not self._debiased_agrees(sign) or self._lost_among_many():
            return "undecided"
        return "better" if self._a_wins(sign) else "worse"

    def _few_questions(self) -> bool:
        """Answers to one question depend on each other: more samples of it are no more questions."""
        questions = self.n if self.questions is None else self.questions
        return questions < FEWEST_QUESTIONS

    def _a_wins(self, sign: int) -> bool:
        return (sign < 0) == METRICS[self.metric].lower_is_better

    def _debiased_agrees(self, sign: int) -> bool:
        return self.debiased is None or _sign(self.debiased) == sign

    def _lost_among_many(self) -> bool:
        return self.p_adjusted is not None and not self.p_adjusted < SIGNIFICANCE

    def _unreadable_winner(self, sign: int) -> bool:
        return (self.readable_a if self._a_wins(sign) else self.readable_b) < LEAST_READABLE

    def phrase(self) -> str:
        """The verdict in words."""
        a, b = model_title(self.a), model_title(self.b)
        if self.n == 0:
            return f"{a} and {b} cannot be compared by {protocol_title(self.protocol)}{self._why_not()}"
        if self.verdict == "undefined":
            return f"{a} and {b} cannot be compared: {_TITLES[self.metric]} is undefined for one of them"
        if self.verdict == "undecided":
            return f"{a} and {b} cannot be told apart{self._why_undecided()}"
        return f"{a} {_PHRASES[self.metric][self.verdict]} {b}"

    def _why_undecided(self) -> str:
        if self._few_questions():
            return f" by fewer than {FEWEST_QUESTIONS} questions"
        sign = _sign(self.difference)
        if sign and self._unreadable_winner(sign):
            wins = self._a_wins(sign)
            winner, share = (self.a, self.readable_a) if wins else (self.b, self.readable_b)
            return (
                f", since only {share:.0%} of the confidences of {model_title(winner)} can be read"
            )
        if sign and self.worst is not None and _sign(self.worst) != sign:
            return " once the confidences that cannot be read count as wrong"
        if sign and not self._debiased_agrees(sign):
            return ": the ECEs differ by no more than their bias, which is the smaller the blunter a model is"
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
        return f"{_TITLES[self.metric]} {values}, difference {ends[0]} [{ends[1]}, {ends[2]}], {n}"

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


def _sign(difference: Interval) -> int:
    """-1 or 1 where the interval leaves 0 out, else 0."""
    _, low, high = difference
    if low > _NO_DIFFERENCE:
        return 1
    return -1 if high < -_NO_DIFFERENCE else 0


def _signed(value: float) -> str:
    return show(value, Column("", signed=True))


def compare(a: Sequence[AnswerRecord], b: Sequence[AnswerRecord], metric: str) -> Comparison:
    """Compare two models' records of one protocol, neither empty; the p-value is not adjusted.

    Args:
        metric: a name in `COMPARED`.
    """
    return compare_columns(columns(a), columns(b), [metric])[0]


def compare_columns(a: Columns, b: Columns, metrics: Sequence[str]) -> list[Comparison]:
    """Compare two models by one protocol and several metrics, which share the resamples; no p-value is adjusted."""
    common_a, common_b = in_common(a, b)
    both = common_a.readable & common_b.readable
    read_a, read_b = (side if both.all() else side.take(both) for side in (common_a, common_b))
    found = _differences(read_a, read_b, metrics)
    comparisons = [
        Comparison(
            protocol=a.protocol,
            metric=metric,
            a=a.model,
            b=b.model,
            n=int(both.sum()),
            questions=np.unique(read_a.question).size,
            value_a=estimate_value(metric, read_a.confidence, read_a.correct, read_a.question),
            value_b=estimate_value(metric, read_b.confidence, read_b.correct, read_b.question),
            difference=_interval(found[metric]),
            readable_a=_share(common_a),
            readable_b=_share(common_b),
            debiased=_interval(found["ece_debiased"]) if metric == "ece" else None,
            p_value=_p_value(metric, found),
        )
        for metric in metrics
    ]
    # Only a verdict asks what the worst would be, and only where there is something that cannot be read.
    open_ones = [] if both.all() else [one.metric for one in comparisons if _sign(one.difference)]
    worst = _differences(_at_worst(common_a), _at_worst(common_b), open_ones) if open_ones else {}
    return [
        replace(one, worst=_interval(worst[one.metric])) if one.metric in worst else one
        for one in comparisons
    ]


def _differences(a: Columns, b: Columns, metrics: Sequence[str]) -> dict[str, Difference]:
    """Of these metrics, and the debiased ECE's, on which the plain one's verdict rests."""
    wanted = dict.fromkeys([*metrics, *(["ece_debiased"] if "ece" in metrics else [])])
    return paired_bootstrap_differences(
        wanted,
        (a.confidence, a.correct),
        (b.confidence, b.correct),
        strata=a.dataset,
        clusters=a.question,
    )


def _interval(difference: Difference) -> Interval:
    return Interval(difference.value, difference.low, difference.high)


def _p_value(metric: str, found: Mapping[str, Difference]) -> float:
    """Of both conditions of the plain ECE the larger one: a test that must reject twice has it."""
    own = found[metric].p_smooth
    return max(own, found["ece_debiased"].p_smooth) if metric == "ece" else own


def _share(answers: Columns) -> float:
    return float(answers.readable.mean()) if answers.key.size else math.nan


def _at_worst(answers: Columns) -> Columns:
    """A confidence that cannot be read is 1 - correct."""
    filled = np.where(answers.readable, answers.confidence, 1 - answers.correct)
    return replace(answers, confidence=filled)


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """With Holm's p-values (1979): a family is all pairs and protocols of one metric, those that are defined.

    Whatever differences there are, the chance of one wrong verdict or more in a family is at most `SIGNIFICANCE`.
    """
    result = list(comparisons)
    for metric in dict.fromkeys(one.metric for one in comparisons):
        places = [
            i
            for i, one in enumerate(comparisons)
            if one.metric == metric and not math.isnan(one.p_value)
        ]
        values = holm([comparisons[i].p_value for i in places])
        for i, value in zip(places, values, strict=True):
            result[i] = replace(result[i], p_adjusted=value, family=len(places))
    return result


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979): the k-th smallest of m times m - k + 1, never below one before it, at most 1.

    >>> [round(p, 3) for p in holm([0.04, 0.01, 0.02])]
    [0.04, 0.03, 0.04]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - rank)))
        found[i] = largest
    return found


Groups = Mapping[str, Mapping[str, Sequence[AnswerRecord]]]
"""model -> protocol -> records, as `report.by_model_and_protocol` gives them."""


def compare_all(
    groups: Groups, metrics: Sequence[str] = COMPARED, with_checkpoints: bool = False
) -> list[Comparison]:
    """Every pair of models, as `KEY_PAIRS` has it, else the later one in the order of training as A; p-values adjusted.

    Args:
        metrics: names in `COMPARED`.
        with_checkpoints: also those within a training run (NAME@STEP); in the report a figure shows their course.
    """
    models = [model for model in groups if with_checkpoints or checkpoint(model)[1] is None]
    pairs = [(a, b) if (b, a) not in KEY_PAIRS else (b, a) for b, a in combinations(models, 2)]
    work: list[_Pair] = []
    for protocol in dict.fromkeys(name for protocols in groups.values() for name in protocols):
        answers = {
            model: columns(groups[model][protocol]) for model in models if protocol in groups[model]
        }
        for a, b in pairs:
            if a in answers and b in answers:
                work.append((*in_common(answers[a], answers[b]), tuple(metrics)))
    with on_both_cores(sum(a.key.size for a, _, _ in work)) as run:
        return adjusted([one for found in run(_compare_pair, work) for one in found])


_Pair = tuple[Columns, Columns, tuple[str, ...]]


def _compare_pair(work: _Pair) -> list[Comparison]:
    return compare_columns(*work)


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
            c.p_adjusted,
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
        Column("p (Holm)"),
        Column("n"),
    )
    notes = (
        "Both models on the questions on which both confidences can be read; A − B with its 95 % interval: a paired "
        "bootstrap's, for the debiased ECE and refinement that of their own law. Brier is the squared debiased ECE "
        f"and refinement. Undecided: the interval holds 0 (to three digits), there are fewer than {FEWEST_QUESTIONS} "
        "questions, the better "
        f"one is readable on less than {LEAST_READABLE:.0%}, the outcome changes once what cannot be read is taken at "
        "its worst, the debiased ECE does not say what the plain one says, or the adjusted p-value is not below "
        f"{SIGNIFICANCE}. {_families(comparisons)} Intervals are those of one pair, not adjusted.",
        *ESTIMATOR_NOTES,
    )
    return Table(
        "comparisons",
        "Models against each other, on the same questions",
        columns,
        tuple(rows),
        notes,
    )


def _families(comparisons: Sequence[Comparison]) -> str:
    """How many comparisons each p-value is adjusted for."""
    sizes = dict.fromkeys(
        f"{_TITLES[c.metric]} {c.family}" for c in comparisons if c.p_adjusted is not None
    )
    if not sizes:
        return "P-values are not adjusted."
    return f"Holm's adjustment is over all pairs and protocols of a metric: {', '.join(sizes)}."
