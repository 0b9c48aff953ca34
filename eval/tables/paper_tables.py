"""The paper's own tables with our values, and the paper's beside them where it has
the dataset and the model.

Tables 2 and 5 to 10: one table a dataset; a row a model and protocol; ECE and AUC under each
subset. Tables 11 and 12: accuracy, a row a dataset and model. Both need records whose
questions carry a subset (stage one gives it): without any, there is nothing to fill them with
and no such table is made.
"""

from collections.abc import Mapping
from itertools import chain

from eval import paper
from eval.naming.file_stems import distinct_stems
from eval.naming.model_names import model_title, protocol_title
from eval.numbers.values import BySlice, Slices, SliceValues
from eval.tables.metric_columns import ESTIMATOR_NOTES, protocols_of
from eval.tables.table import Cell, Column, Table, interval

_PAPER_NOTE = (
    "Columns “paper”: Tables 2 and 5 to 10 of the paper; its bins and parse-failure policy are "
    "not stated there."
)

BySubset = Mapping[str, Mapping[str, BySlice]]
"""model -> protocol -> "dataset/subset" -> values."""


def paper_tables(sliced: Slices) -> list[Table]:
    """One calibration table a dataset that has subsets, then the accuracy
    table; [] without subsets.

    Args:
        sliced: of a `content.Report`.
    """
    cells = {model: _by_subset(protocols) for model, protocols in sliced.items()}
    names: set[str] = set()
    for protocols in cells.values():
        names.update(chain.from_iterable(protocols.values()))
    datasets = sorted({name.rpartition("/")[0] for name in names})
    stems = distinct_stems(datasets)
    tables = [_calibration_table(dataset, stems[dataset], cells) for dataset in datasets]
    return [*tables, _accuracy_table(datasets, cells)] if tables else []


def _by_subset(protocols: Mapping[str, Mapping[str, BySlice]]) -> dict[str, BySlice]:
    """A model's values by dataset and subset, by the protocols that have them."""
    name = "dataset_subset"
    return {protocol: parts[name] for protocol, parts in protocols.items() if name in parts}


def _calibration_table(dataset: str, stem: str, cells: BySubset) -> Table:
    in_paper = paper.dataset_of(dataset)
    columns = [Column("model"), Column("protocol")]
    for subset in paper.SUBSETS:
        columns += [Column("ECE", subset, better="low"), Column("AUC", subset, better="high")]
        if in_paper:
            columns += [Column("paper ECE", subset), Column("paper AUC", subset)]
    rows = []
    for model, protocols in cells.items():
        for protocol in protocols_of(cells):
            row: list[Cell] = [model_title(model), protocol_title(protocol)]
            for subset in paper.SUBSETS:
                cell = protocols.get(protocol, {}).get(f"{dataset}/{subset}")
                row += [_value(cell, "ece"), _value(cell, "auroc")]
                if in_paper:
                    row += [
                        paper.calibration(dataset, subset, model, protocol, m)
                        for m in ("ece", "auroc")
                    ]
            if any(value is not None for value in row[2:]):
                rows.append(tuple(row))
    notes = (*([_PAPER_NOTE] if in_paper else []), _sizes(dataset, cells), *ESTIMATOR_NOTES)
    return Table(
        f"calibration_{stem}",
        f"Calibration on {in_paper or dataset} by subset",
        tuple(columns),
        tuple(rows),
        notes,
    )


def _accuracy_table(datasets: list[str], cells: BySubset) -> Table:
    """Accuracy by dataset, model and subset; of the first protocol, as all protocols
    judge the same answers.
    """
    with_paper = any(
        paper.accuracy(dataset, paper.SUBSETS[0], "base") is not None for dataset in datasets
    )
    columns = [Column("dataset"), Column("model")]
    for subset in paper.SUBSETS:
        columns += [
            Column("accuracy", subset, better="high"),
            *([Column("paper", subset)] if with_paper else []),
        ]
    rows = []
    for dataset in datasets:
        for model, protocols in cells.items():
            row: list[Cell] = [dataset, model_title(model)]
            for subset in paper.SUBSETS:
                name = f"{dataset}/{subset}"
                row.append(
                    next(
                        (
                            _value(part[name], "accuracy")
                            for part in protocols.values()
                            if name in part
                        ),
                        None,
                    )
                )
                if with_paper:
                    row.append(paper.accuracy(dataset, subset, model))
            if any(value is not None for value in row[2:]):
                rows.append(tuple(row))
    notes = (
        "Mean verdict of all answers, those without a readable confidence included.",
        *(["Columns “paper”: Tables 11 and 12 of the paper."] if with_paper else []),
        *(_sizes(dataset, cells) for dataset in datasets),
    )
    return Table(
        "paper_accuracy", "Accuracy by dataset and subset", tuple(columns), tuple(rows), notes
    )


def _value(cell: SliceValues | None, metric: str) -> Cell:
    """Without the interval: the paper's layout has no room for it; the tables by slice show it."""
    found = interval(cell, metric)
    return found.value if found else None


def _sizes(dataset: str, cells: BySubset) -> str:
    """The number of answers in each subset, of the first model that has them."""
    counts = []
    for subset in paper.SUBSETS:
        name = f"{dataset}/{subset}"
        parts = chain.from_iterable(protocols.values() for protocols in cells.values())
        n = next((part[name].n for part in parts if name in part), 0)
        counts.append(f"{subset} {n:,}")
    return f"{dataset}, answers a model (n): {', '.join(counts)}."
