"""Tables of `python -m eval selective`: what is left of the answers when the unsure ones are
not trusted, and votes.
"""

import math
from collections.abc import Sequence

from eval.metrics.selective import COVERAGES, LEVEL
from eval.naming.model_names import model_title, protocol_title
from eval.numbers.selective import Selective
from eval.numbers.values import Interval
from eval.numbers.vote import Vote
from eval.tables.table import Cell, Column, Table, known


def selective_table(found: Sequence[Selective]) -> Table:
    """A row a model and protocol, all for one wanted accuracy; at least one row."""
    wanted = f"for {found[0].threshold.wanted:.4g} accuracy"
    at = "accuracy at coverage"
    columns = (
        Column("model"),
        Column("protocol"),
        *(Column(f"{coverage:.0%}".replace("%", " %"), at) for coverage in COVERAGES),
        Column("AURC", better="low"),
        Column("threshold", wanted),
        Column("coverage", wanted, percent=True, digits=1),
        Column("accuracy", wanted),
        Column("trusted", wanted),
        Column("n"),
        Column("parse failures"),
    )
    return Table(
        "selective",
        "Trusting the most confident answers",
        columns,
        tuple(map(_row, found)),
        _notes(found[0].threshold.wanted),
    )


def _row(one: Selective) -> tuple[Cell, ...]:
    threshold = one.threshold
    there = not math.isnan(threshold.value)
    accuracy = Interval(threshold.accuracy, threshold.low, threshold.high)
    return (
        model_title(one.model),
        protocol_title(one.protocol),
        *(known(one.curve.accuracy_at(coverage)) for coverage in COVERAGES),
        known(one.aurc),
        threshold.value if there else "none",
        threshold.coverage if there else None,
        accuracy if there else None,
        threshold.trusted if there else None,
        one.n,
        one.parse_failures,
    )


def _notes(wanted: float) -> tuple[str, ...]:
    return (
        "Accuracy of the most confident answers, a share of all answers; equally confident ones "
        "in random order, values in expectation; confidences that cannot be read come last. "
        "AURC: mean of 1 - accuracy over all coverages.",
        "Threshold: the lowest for which Learn then Test (binomial or Hoeffding-Bentkus "
        "p-values, fallback procedure) shows on one half of the questions that the answers "
        f"it trusts have an accuracy of at least {wanted:.4g}, with a chance of error of "
        f"{1 - LEVEL:.2g}; “none” where it shows that for none. Coverage, accuracy with its "
        "interval of 95 % (Clopper-Pearson; bootstrap for graded verdicts) and the number "
        "of trusted answers are those of the other half. Of a question with several answers "
        "the first counts here.",
    )


def vote_table(found: Sequence[Vote]) -> Table:
    """A row a model, protocol and number of samples."""
    columns = (
        Column("model"),
        Column("protocol"),
        Column("samples (k)"),
        Column("one sample", "accuracy"),
        Column("majority", "accuracy"),
        Column("confidence-weighted", "accuracy"),
        Column("weighted − majority", signed=True),
        Column("questions"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            model_title(one.model),
            protocol_title(one.protocol),
            one.k,
            one.single,
            one.majority,
            one.weighted,
            one.difference,
            one.questions,
        )
        for one in found
    ]
    notes = (
        "Votes of the first k samples of each question. Answers are the same if they make the "
        "same statements by normalised text; ties in expectation; a confidence that cannot be "
        "read weighs nothing. Confidences are summed as they are. Brackets: 95 % percentile "
        "bootstrap over questions, paired for the difference.",
    )
    return Table("vote", "Self-consistency, by majority and weighted", columns, tuple(rows), notes)
