"""A table for each way to slice the questions (`records.slices`) and metric."""

from collections.abc import Mapping

from eval.naming.model_names import model_title, protocol_title
from eval.numbers.summarise import POOLED
from eval.numbers.values import BySlice, Models, Slices
from eval.records.slices import DIMENSIONS
from eval.tables.metric_columns import ESTIMATOR_NOTES, TITLES, metric_column, protocols_of
from eval.tables.table import Cell, Column, Table, tabulated

_MAIN = ("ece", "auroc", "brier", "accuracy")


def slice_tables(models: Models, sliced: Slices) -> list[Table]:
    """For each dimension and metric one table: a row a model and protocol, a column a slice.

    Args:
        models, sliced: of a `content.Report`.
    """
    tables = []
    for dimension in DIMENSIONS:
        if dimension == "dataset":
            by_model = {model: _datasets(protocols) for model, protocols in models.items()}
        else:
            by_model = {m: _of_dimension(dimension, ps) for m, ps in sliced.items()}
        if any(protocols for protocols in by_model.values()):
            tables += [_slice_table(dimension, by_model, metric) for metric in _MAIN]
    return tables


Parts = Mapping[str, BySlice]
"""protocol -> slice -> values."""


def _datasets(protocols: Parts) -> Parts:
    """A model's values by dataset, without those over all questions."""
    found = {}
    for protocol, cells in protocols.items():
        found[protocol] = {name: cell for name, cell in cells.items() if name != POOLED}
    return found


def _of_dimension(dimension: str, protocols: Mapping[str, Parts]) -> Parts:
    """A model's values of one dimension, by the protocols that have it."""
    return {name: parts[dimension] for name, parts in protocols.items() if dimension in parts}


def _slice_table(dimension: str, by_model: Models, metric: str) -> Table:
    cells = [part for protocols in by_model.values() for part in protocols.values()]
    names = list(dict.fromkeys(name for part in cells for name in part))
    if metric == "accuracy":  # the protocols share their answers, so one row a model says it
        by_model = {model: _first_of(protocols) for model, protocols in by_model.items()}
    sizes: dict[str, set[int]] = {name: set() for name in names}
    for part in cells:
        for name, cell in part.items():
            sizes[name].add(cell.n)
    counts = "; ".join(f"{name} {_span(of_all)}" for name, of_all in sizes.items())
    columns = (
        Column("protocol"),
        Column("model"),
        *(Column(name, better=metric_column(metric).better) for name in names),
    )
    rows: list[tuple[Cell, ...]] = []
    for protocol in protocols_of(by_model):
        for model, protocols in by_model.items():
            if protocol in protocols:
                values = (tabulated(protocols[protocol].get(name), metric) for name in names)
                rows.append((protocol_title(protocol), model_title(model), *values))
    title = f"{TITLES[metric]} by {DIMENSIONS[dimension]}"
    notes = (f"Answers (n): {counts}.", *ESTIMATOR_NOTES)
    return Table(f"{metric}_by_{dimension}", title, columns, tuple(rows), notes)


def _first_of(protocols: Mapping[str, BySlice]) -> dict[str, BySlice]:
    return dict(list(protocols.items())[:1])


def _span(values: set[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
