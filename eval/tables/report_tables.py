"""The report's tables: all questions, each way to slice them, ratios to the base, training. Tables 2 and 5 to 12 of the
paper are in `paper_tables`, comparisons of two models in `comparison`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from eval import metrics
from eval.metrics.claims import ClaimCalibration
from eval.naming.model_names import BASE, model_title, protocol_title
from eval.numbers.summarise import ESTIMATOR, POOLED
from eval.numbers.training_curves import Curves, phases, steps_a_phase
from eval.numbers.values import BySlice, Models, Slices
from eval.paper import mean_calibration
from eval.records.slices import DIMENSIONS
from eval.tables.table import (
    FEWEST_ANSWERS,
    Cell,
    Column,
    Table,
    defined,
    interval,
    known,
    tabulated,
)

ESTIMATOR_NOTES = (
    f"ECE: {ESTIMATOR['ece']}. AUROC: {ESTIMATOR['auroc']}. Brackets: {ESTIMATOR['intervals']}; they show sampling "
    "error only, and an ECE is biased upwards where answers are few.",
    f"Debiased ECE: {ESTIMATOR['ece_debiased']}. ECE floor: {ESTIMATOR['ece_floor']}.",
    f"Parse failures: {ESTIMATOR['parse_failures']}.",
    f"Cells of fewer than {FEWEST_ANSWERS} answers that can be read are left empty.",
)
_TITLES = {
    "ece": "ECE",
    "ece_debiased": "debiased ECE",
    "adaptive_ece": "adaptive ECE",
    "smooth_ece": "smooth ECE",
    "mce": "MCE",
    "brier": "Brier",
    "refinement": "refinement",
    "nll": "NLL",
    "auroc": "AUROC",
    "auroc_thresholded": "AUROC, verdicts cut at 0.5",
    "auprc": "AUPRC",
    "aurc": "AURC",
    "prr": "PRR",
    "accuracy": "accuracy",
}
_MAIN = ("ece", "auroc", "brier", "accuracy")
_OVERALL = ("ece_debiased", "brier", "auroc", "accuracy")


def metric_column(metric: str) -> Column:
    """A metric's column, with the arrow of its better direction."""
    return Column(
        _TITLES[metric], better="low" if metrics.METRICS[metric].lower_is_better else "high"
    )


_TRAINING_NOTES = (
    "Measured on the rollouts of each step: means over the first, the middle and the last tenth of the steps.",
    "Not comparable with held-out values, nor quite with each other: dynamic sampling leaves out groups that tie on "
    "its metric, which each rule chooses; the ECE of one step is biased upwards, more so the fewer rollouts it has.",
)


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
    rows = [
        (
            protocol_title(protocol),
            model_title(model),
            tabulated(cell, "ece"),
            known(cell.ece_floor),
            *(tabulated(cell, metric) for metric in _OVERALL),
            known(cell.mean_confidence),
            known(cell.extreme_share),
            known(cell.well_formed),
            known(cell.mean_claims),
            known(cell.truncated),
            cell.n,
            cell.parse_failures,
        )
        for protocol in protocols_of(models)
        for model, protocols in models.items()
        if (cell := protocols.get(protocol, {}).get(POOLED))
    ]
    return Table("overall", "All questions", columns, tuple(rows), ESTIMATOR_NOTES)


def protocol_table(models: Models, metric: str) -> Table:
    """One metric at a glance, all questions: a row a model, a column a protocol."""
    protocols = protocols_of(models)
    better = metric_column(metric).better
    columns = (
        Column("model"),
        *(Column(protocol_title(protocol), better=better) for protocol in protocols),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            model_title(model),
            *(tabulated(cells.get(protocol, {}).get(POOLED), metric) for protocol in protocols),
        )
        for model, cells in models.items()
    ]
    title = f"{_TITLES[metric]} by protocol, all questions"
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
        for metric in _TITLES
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
    shown = {
        name: column
        for name, column in _CLAIM_TITLES.items()
        if any(name in row.estimates for row in claims.values())
    }
    rows: list[tuple[Cell, ...]] = [
        (
            model_title(model),
            *(_estimate(row, name) for name in shown),
            row.n_claims,
            row.n_sure / row.n_claims,
            row.n_answers,
        )
        for model, row in claims.items()
    ]
    columns = (
        Column("model"),
        *shown.values(),
        Column("claims (n)"),
        Column("sure", percent=True, digits=0),
        Column("answers"),
    )
    notes = (
        "Brackets: 95 % percentile bootstrap over answers with all their claims. Answers without claims are left out.",
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


def protocols_of(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Protocols of all models, in the order they stand in (the paper's)."""
    return list(dict.fromkeys(protocol for protocols in models.values() for protocol in protocols))


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
        by_model = {
            model: dict(list(protocols.items())[:1]) for model, protocols in by_model.items()
        }
    sizes = {name: {part[name].n for part in cells if name in part} for name in names}
    counts = "; ".join(f"{name} {_span(sizes[name])}" for name in names)
    columns = (
        Column("protocol"),
        Column("model"),
        *(Column(name, better=metric_column(metric).better) for name in names),
    )
    rows = [
        (
            protocol_title(protocol),
            model_title(model),
            *(tabulated(protocols[protocol].get(name), metric) for name in names),
        )
        for protocol in protocols_of(by_model)
        for model, protocols in by_model.items()
        if protocol in protocols
    ]
    title = f"{_TITLES[metric]} by {DIMENSIONS[dimension]}"
    notes = (f"Answers (n): {counts}.", *ESTIMATOR_NOTES)
    return Table(f"{metric}_by_{dimension}", title, columns, tuple(rows), notes)


def _span(values: set[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def ratio_table(ratios: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> Table | None:
    """ECE of each model divided by the base's, by protocol, beside the paper's ratio; None without a base.

    Args:
        ratios: report.json's "ece_ratios".
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
                    known(values["pooled"]),
                    known(values["mean_over_datasets"]),
                    known(values["mean_over_dataset_subset"]),
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
        "Below 1: a lower ECE than the base's. The paper's value is the ratio of its mean ECE over 14 datasets x 3 "
        "subsets (Tables 2 and 5 to 10), on other models and data; the mean over dataset x subset is its like.",
        *ESTIMATOR_NOTES,
    )
    return Table("ece_ratios", "ECE divided by the base's ECE", columns, tuple(rows), notes)


def training_table(training: Mapping[str, Curves]) -> Table | None:
    """How ECE and the share of confidences at 0 or 1 moved during GRPO; None if nothing was logged."""
    if not training:
        return None
    rows = []
    for model, curves in training.items():
        n = len(curves["steps"])
        means = (known(value) for name in ("ece", "at_0_or_1") for value in phases(curves[name]))
        rows.append((model_title(model), f"3 x {steps_a_phase(n)} of {n}", *means))
    columns = (
        Column("model"),
        Column("steps"),
        *(Column(phase, group="ECE", better="low") for phase in _PHASES),
        *(
            Column(phase, group="confidences at 0 or 1", percent=True, digits=0)
            for phase in _PHASES
        ),
    )
    return Table(
        "training", "How confidence moved during GRPO", columns, tuple(rows), _TRAINING_NOTES
    )


_PHASES = ("first", "middle", "last")


def stage_table(seconds: Mapping[str, float]) -> Table | None:
    """Wall time of the run's stages; None if none is known."""
    rows: Sequence[tuple[Cell, ...]] = [(stage, value) for stage, value in seconds.items()]
    columns = (Column("stage"), Column("seconds", digits=0))
    return Table("stages", "Wall time", columns, tuple(rows)) if rows else None
