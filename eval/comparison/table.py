"""The table of comparisons."""

import math
from collections.abc import Sequence

from eval.comparison.verdict import (
    FEWEST_QUESTIONS,
    LEAST_READABLE,
    SIGNIFICANCE,
    TITLES,
    Comparison,
)
from eval.naming.model_names import model_title, protocol_title
from eval.tables.metric_columns import ESTIMATOR_NOTES
from eval.tables.table import Cell, Column, Table


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """A row a pair, protocol and metric."""
    rows: list[tuple[Cell, ...]] = [
        (
            protocol_title(c.protocol),
            TITLES[c.metric],
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
        "Both models on the questions on which both confidences can be read; A − B with its 95 "
        "% interval: a paired bootstrap's, for the debiased ECE and refinement that of their "
        "own law. Brier is the squared debiased ECE and refinement. Undecided: the interval "
        f"holds 0 (to three digits), there are fewer than {FEWEST_QUESTIONS} questions, the "
        f"better one is readable on less than {LEAST_READABLE:.0%}, the outcome changes once "
        "what cannot be read is taken at its worst, the debiased ECE does not say what the "
        f"plain one says, or the adjusted p-value is not below {SIGNIFICANCE}. "
        f"{_families(comparisons)} Intervals are those of one pair, not adjusted.",
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
        f"{TITLES[c.metric]} {c.family}" for c in comparisons if c.p_adjusted is not None
    )
    if not sizes:
        return "P-values are not adjusted."
    return f"Holm's adjustment is over all pairs and protocols of a metric: {', '.join(sizes)}."
