"""The report's tables of all questions, of claims, and of ratios to the base. Slices are in
`slice_tables`, training in `run_tables`, Tables 2 and 5 to 12 of the paper in `paper_tables`,
comparisons of two models in `comparison`.
"""

from collections.abc import Mapping

from eval.metrics.claims import ClaimCalibration
from eval.naming.model_names import BASE, model_title, protocol_title
from eval.numbers.summarise import ESTIMATOR, POOLED
from eval.numbers.values import Models, Ratios, SliceValues
from eval.paper import mean_calibration
from eval.tables.metric_columns import (
    ESTIMATOR_NOTES,
    TITLES,
    metric_cells,
    metric_column,
    protocols_of,
)
from eval.tables.table import Cell, Column, Table, defined, interval, known, tabulated

_OVERALL = ("ece_debiased", "brier", "auroc", "accuracy")


def overall_table(models: Models) -> Table:
    """All questions: a row a model and protocol, with intervals."""
    columns = (
        Column("protocol"),
        Column("model"),
        metric_column("ece"),
        Column("ECE floor"),
        *map(metric_column, _OVERALL),
        Column("mean confidence"),
        Column("at 0 or 1", percent=True, digits=0),
        Column("well formed", percent=True, digits=0),
        Column("claims", digits=1),
        Column("cut off", percent=True, digits=0),
        Column("n"),
        Column("parse failures"),
    )
    rows = []
    for protocol in protocols_of(models):
        for model, protocols in models.items():
            if cell := protocols.get(protocol, {}).get(POOLED):
                rows.append((protocol_title(protocol), model_title(model), *_overall(cell)))
    return Table("overall", "All questions", columns, tuple(rows), ESTIMATOR_NOTES)


def _overall(cell: SliceValues) -> tuple[Cell, ...]:
    return (
        tabulated(cell, "ece"),
        known(cell.ece_floor),
        *metric_cells(cell, _OVERALL),
        known(cell.mean_confidence),
        known(cell.extreme_share),
        known(cell.well_formed),
        known(cell.mean_claims),
        known(cell.truncated),
        cell.n,
        cell.parse_failures,
    )


def protocol_table(models: Models, metric: str) -> Table:
    """One metric at a glance, all questions: a row a model, a column a protocol."""
    protocols = protocols_of(models)
    better = metric_column(metric).better
    columns = (
        Column("model"),
        *(Column(protocol_title(protocol), better=better) for protocol in protocols),
    )
    rows: list[tuple[Cell, ...]] = []
    for model, cells in models.items():
        pooled = (cells.get(protocol, {}).get(POOLED) for protocol in protocols)
        rows.append((model_title(model), *(tabulated(cell, metric) for cell in pooled)))
    title = f"{TITLES[metric]} by protocol, all questions"
    return Table(f"{metric}_by_protocol", title, columns, tuple(rows), ESTIMATOR_NOTES)


def all_metrics_table(models: Models) -> Table:
    """Every metric over all questions, with intervals: a row a protocol, model and metric."""
    columns = (
        Column("protocol"),
        Column("model"),
        Column("metric"),
        Column("value"),
        Column("n"),
        Column("estimator"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            protocol_title(protocol),
            model_title(model),
            metric_column(metric).heading,
            interval(cell, metric) or f"undefined: {cell.measured(metric).reason}",
            cell.n,
            ESTIMATOR[metric],
        )
        for protocol in protocols_of(models)
        for model, protocols in models.items()
        if (cell := protocols.get(protocol, {}).get(POOLED))
        for metric in TITLES
    ]
    return Table(
        "all_metrics", "Every metric, all questions", columns, tuple(rows), ESTIMATOR_NOTES
    )


_CLAIM_TITLES = {
    "agreement": Column("tag agrees with label", better="high"),
    "true_when_sure": Column("true when sure", better="high"),
    "true_when_unsure": Column("true when not sure"),
    "tag_auroc": Column("AUROC of the tag", better="high"),
    "probability_ece": Column("ECE of P(sure)", better="low"),
    "probability_auroc": Column("AUROC of P(sure)", better="high"),
}


def claim_table(claims: Mapping[str, ClaimCalibration]) -> Table | None:
    """What the tags of single claims are worth: a row a model; None if no claim was judged.

    Args:
        claims: model -> calibration of its tags.
    """
    estimated = set().union(*(found.estimates for found in claims.values()))
    shown = {name: column for name, column in _CLAIM_TITLES.items() if name in estimated}
    rows: list[tuple[Cell, ...]] = []
    for model, found in claims.items():
        sure = found.n_sure / found.n_claims
        estimates = (_estimate(found, name) for name in shown)
        rows.append((model_title(model), *estimates, found.n_claims, sure, found.n_answers))
    columns = (
        Column("model"),
        *shown.values(),
        Column("claims (n)"),
        Column("sure", percent=True, digits=0),
        Column("answers"),
    )
    notes = (
        (
            "Brackets: 95 % percentile bootstrap over answers with all their claims. Answers "
            "without claims are left out."
        ),
    )
    return (
        Table(
            "claims", "Claims: “I'm sure” against the judge's labels", columns, tuple(rows), notes
        )
        if rows
        else None
    )


def _estimate(claims: ClaimCalibration, name: str) -> Cell:
    found = claims.estimates.get(name)
    return None if found is None else defined(found.value, found.low, found.high)


def ratio_table(ratios: Ratios) -> Table | None:
    """ECE of each model divided by the base's, by protocol, beside the paper's
    ratio; None without a base.
    """
    rows: list[tuple[Cell, ...]] = []
    for protocol, models in ratios.items():
        base = mean_calibration(BASE, protocol, "ece")
        for model, values in models.items():
            paper = mean_calibration(model, protocol, "ece")
            rows.append(
                (
                    protocol_title(protocol),
                    model_title(model),
                    known(values.pooled),
                    known(values.mean_over_datasets),
                    known(values.mean_over_dataset_subset),
                    paper / base if paper is not None and base else None,
                )
            )
    if not rows:
        return None
    columns = (
        Column("protocol"),
        Column("model"),
        Column("all questions", better="low"),
        Column("mean over datasets", better="low"),
        Column("mean over dataset x subset", better="low"),
        Column("paper", better="low"),
    )
    notes = (
        "Below 1: a lower ECE than the base's. The paper's value is the ratio of its mean ECE "
        "over 14 datasets x 3 subsets (Tables 2 and 5 to 10), on other models and data; the "
        "mean over dataset x subset is its like.",
        *ESTIMATOR_NOTES,
    )
    return Table("ece_ratios", "ECE divided by the base's ECE", columns, tuple(rows), notes)
