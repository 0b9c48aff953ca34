"""What the report says in words: which model is best calibrated, and the verdicts of the pairs that matter.

Nothing here is written in advance: every sentence is filled from the values and the intervals at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.comparison import LEAST_READABLE, Comparison, key_comparisons
from eval.model_names import checkpoint, model_title, protocol_title
from eval.report.numbers import POOLED
from eval.tables.report_tables import Models, protocols_of
from eval.tables.table import number


@dataclass(frozen=True)
class ProtocolSummary:
    """A protocol's headline and the sentences that stand under it."""

    protocol: str
    headline: str
    verdicts: tuple[Comparison, ...]


def summaries(models: Models, comparisons: Sequence[Comparison]) -> list[ProtocolSummary]:
    """One a protocol, in the order of the tables.

    Args:
        models: report.json's "models".
        comparisons: of `comparison.compare_all`.
    """
    return [
        ProtocolSummary(
            protocol,
            _headline(
                models,
                [c for c in comparisons if c.protocol == protocol and c.metric == "ece"],
                protocol,
            ),
            tuple(
                c
                for c in key_comparisons(comparisons)
                if c.protocol == protocol and c.metric in ("ece", "auroc")
            ),
        )
        for protocol in protocols_of(models)
    ]


def _headline(models: Models, pairs: Sequence[Comparison], protocol: str) -> str:
    """The lowest ECE over all questions, and which models it is, and is not, told apart from.

    A model whose confidence can be read on less than `LEAST_READABLE` of its answers is not in the running.
    """
    title = protocol_title(protocol)
    cells_of = {
        model: cells[protocol][POOLED]
        for model, cells in models.items()
        if protocol in cells and checkpoint(model)[1] is None
    }
    values = {
        model: cell["ece"]
        for model, cell in cells_of.items()
        if cell["n"] and 1 - cell["parse_failures"] / cell["n"] >= LEAST_READABLE
    }
    known = {
        model: value for model, value in values.items() if value is not None and value == value
    }
    if not known:
        share = f"{LEAST_READABLE:.0%}"
        return f"{title}: no model states a confidence that can be read on {share} of its answers."
    best = min(known, key=lambda model: known[model])
    value = number(known[best])
    if len(known) == 1:
        return f"{title}: {model_title(best)} has an ECE of {value}."
    beaten = [c.b if c.a == best else c.a for c in pairs if best in (c.a, c.b) and _wins(c, best)]
    others = [model for model in known if model != best and model not in beaten]
    text = f"{title}: {model_title(best)} has the lowest ECE, {value}"
    if not others:
        return f"{text}, and is better calibrated than every other model."
    tied = f"cannot be told apart from {_listed(others)}"
    return (
        f"{text}; it {tied}."
        if not beaten
        else f"{text}; it is better than {_listed(beaten)} and {tied}."
    )


def _wins(comparison: Comparison, model: str) -> bool:
    return comparison.verdict == ("better" if comparison.a == model else "worse")


def _listed(models: Sequence[str]) -> str:
    """
    >>> _listed(["base", "sft", "rl"])
    'base, SFT and RL (Algorithm 1)'
    """
    *first, last = map(model_title, models)
    return f"{', '.join(first)} and {last}" if first else last
