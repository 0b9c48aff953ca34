"""Two models on the same questions: the difference of a metric, its interval, and what may
be said about it in words.

The values stand on the questions on which both models' confidences can be read (paired by
question and sample); for each pair their number is n. The difference is A's value minus B's,
on the same questions, with its 95 % interval: for `ece_debiased` and `refinement` that of
their own law (`metrics.debiased`), else a paired bootstrap within each dataset. A verdict of
"better" or "worse" needs

- an interval without 0, whose end does not round to 0.000: the same model through two engines
  differs by less than that, in its floats;
- at least 30 questions, below which such an interval is too narrow;
- a winner whose confidence can be read on at least 95 % of the questions: nobody
  wins by not being readable;
- a p-value below 0.05 after Holm's adjustment over the family: all pairs and protocols
  of one report and metric;
- the same outcome on all questions, with a confidence that cannot be read at its worst (1 where
  the answer is wrong, 0 where it is right).

Else it is "undecided". A metric that is undefined for one of the two (AUROC with one class,
n = 0) gives "undefined".

"Better calibrated" rests on the debiased ECE, which does not favour the blunter of two
calibrated models as the plain ECE does; Brier = ece_debiased^2 + refinement stands beside it
with both parts. The plain ECE, the paper's estimator, is shown by its name; its verdict needs
the debiased one to say the same.
"""

from eval.comparison.paired import (
    adjusted,
    compare,
    compare_all,
    compare_columns,
    holm,
    key_comparisons,
)
from eval.comparison.table import comparison_table
from eval.comparison.verdict import (
    COMPARED,
    FEWEST_QUESTIONS,
    KEY_PAIRS,
    LEAST_READABLE,
    SIGNIFICANCE,
    Comparison,
    Verdict,
)

__all__ = [
    "COMPARED",
    "FEWEST_QUESTIONS",
    "KEY_PAIRS",
    "LEAST_READABLE",
    "SIGNIFICANCE",
    "Comparison",
    "Verdict",
    "adjusted",
    "compare",
    "compare_all",
    "compare_columns",
    "comparison_table",
    "holm",
    "key_comparisons",
]
