"""What the page opens with: the verdict in one sentence, one table, the two
diagrams that matter.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eval.comparison import Comparison
from eval.naming.model_names import BASE, checkpoint, model_title, protocol_title
from eval.numbers.summarise import POOLED
from eval.numbers.values import Models
from eval.report.summary import ProtocolSummary, why_left_out
from eval.tables.metric_columns import ESTIMATOR_NOTES, metric_cells, metric_column, protocols_of
from eval.tables.table import Cell, Column, Table, show

DEBIASED = "ece_debiased"
"""Shown in place of `ece` where a report has it."""
_PLAIN = ("auroc", "brier", "accuracy")


@dataclass(frozen=True)
class FirstScreen:
    """The first screen's content.

    Attributes:
        protocol: the one that the sentence and the diagrams are of.
        sentence: the verdict with its numbers.
        tables: a table a protocol, that of `protocol` first, then all in one if there are several.
        diagrams: the models whose diagrams are drawn, at most two: the base and the best trained.
    """

    protocol: str
    sentence: str
    tables: tuple[Table, ...]
    diagrams: tuple[str, ...]


def first_screen(
    models: Models, comparisons: Sequence[Comparison], main: ProtocolSummary
) -> FirstScreen:
    """The first screen of a report.

    Args:
        models: of a `content.Report`.
        comparisons: of all pairs.
        main: the summary of the protocol that the page opens with.
    """
    protocols = protocols_of(models)
    ordered = sorted(protocols, key=lambda protocol: protocol != main.protocol)
    tables = [main_table(models, [protocol]) for protocol in ordered]
    if len(protocols) > 1:
        tables.append(main_table(models, ordered))
    shown = shown_models(models, main.protocol)
    verdict = verdict_sentence(main, comparisons, shown[-1])
    return FirstScreen(main.protocol, verdict, tuple(tables), shown)


def main_table(models: Models, protocols: Sequence[str]) -> Table:
    """Over all questions: a row a protocol and model, with the column `protocol`
    only if there are several.

    Args:
        models: of a `content.Report`.
        protocols: at least one, in the order of the rows.
    """
    several = len(protocols) > 1
    rows = [(protocol, model) for protocol in protocols for model in models]
    cells = {
        (protocol, model): cell
        for protocol, model in rows
        if (cell := models[model].get(protocol, {}).get(POOLED))
    }
    debiased = any(DEBIASED in cell.metrics for cell in cells.values())
    ece = Column("ECE, debiased", better="low") if debiased else metric_column("ece")
    metrics = (DEBIASED if debiased else "ece", *_PLAIN)
    columns = (
        *([Column("protocol")] if several else []),
        Column("model"),
        ece,
        *map(metric_column, _PLAIN),
        Column("readable", percent=True, digits=1),
        Column("n"),
    )
    body: list[tuple[Cell, ...]] = [
        (
            *([protocol_title(protocol)] if several else []),
            model_title(model),
            *metric_cells(cell, metrics),
            cell.readable / cell.n if cell.n else None,
            cell.n,
        )
        for (protocol, model), cell in cells.items()
    ]
    name = "main" if several else f"main_{protocols[0]}"
    title = "All protocols" if several else protocol_title(protocols[0])
    return Table(name, f"{title}, all questions", columns, tuple(body), ESTIMATOR_NOTES)


def shown_models(models: Models, protocol: str) -> tuple[str, ...]:
    """The base (else the first model) and, of the others, the one with the lowest Brier score.

    Checkpoints within a run stand aside if there are other models, and so do models that the
    headline leaves out (`why_left_out`).
    """
    cells = {model: cells[protocol][POOLED] for model, cells in models.items() if protocol in cells}
    whole = [model for model in cells if checkpoint(model)[1] is None] or list(cells)
    first = BASE if BASE in whole else whole[0]
    brier = {
        model: value
        for model in whole
        if model != first and not math.isnan(value := cells[model].value("brier"))
    }
    in_the_running = {
        model: value for model, value in brier.items() if not why_left_out(cells[model])
    }
    candidates = in_the_running or brier
    return (first, min(candidates, key=lambda model: candidates[model])) if candidates else (first,)


def verdict_sentence(main: ProtocolSummary, comparisons: Sequence[Comparison], model: str) -> str:
    """The protocol's headline as one sentence, with a model's difference from the base in brackets.

    Args:
        comparisons: of all pairs.
        model: the one whose diagram stands beside the base's.
    """
    title, _, text = main.headline.partition(": ")
    difference = _against_base(main.protocol, model, comparisons)
    return f"By {title}, {text.removesuffix('.')}{difference}."


def _against_base(protocol: str, shown: str, comparisons: Sequence[Comparison]) -> str:
    """ " (MODEL against base: ECE ...)", which says so where it is undecided; ""
    if it is not compared.
    """
    for comparison, model, sign in _with_base(protocol, comparisons):
        if model == shown:
            column = Column("", signed=True)
            difference, *interval = comparison.difference
            value = show(sign * difference, column)
            low, high = sorted(sign * end for end in interval)
            ends = f"[{show(low, column)}, {show(high, column)}]"
            ece = "debiased ECE" if comparison.metric == DEBIASED else "ECE"
            n = f"{comparison.n:,} paired answers"
            pair = f"{model_title(model)} against {model_title(BASE)}"
            pair += ", undecided" if comparison.verdict == "undecided" else ""
            return f" ({pair}: {ece} {value} {ends}, {n})"
    return ""


def _with_base(
    protocol: str, comparisons: Sequence[Comparison]
) -> Iterator[tuple[Comparison, str, int]]:
    """Comparisons of a model's ECE with the base's, debiased first: (comparison, model,
    sign of its difference).
    """
    known = [
        c for c in comparisons if c.protocol == protocol and not any(map(math.isnan, c.difference))
    ]
    for metric in (DEBIASED, "ece"):
        for c in known:
            if c.metric == metric and BASE in (c.a, c.b):
                yield (c, c.a, 1) if c.b == BASE else (c, c.b, -1)
