"""From answer records to the report's numbers: models -> protocol -> dataset (each tag,
and "pooled") -> values.

The other slices (`slices.DIMENSIONS`) stand beside:
models -> protocol -> dimension -> slice -> values.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from eval.metrics import METRICS, ece_floor, estimate_all
from eval.metrics.claims import ClaimCalibration, claim_calibration
from eval.metrics.estimates import INTERVAL, PARSE_FAILURE_POLICY
from eval.naming.model_names import BASE, ordered_models
from eval.numbers.cores import on_both_cores
from eval.numbers.values import EceRatios, Measured, Models, Slices, SliceValues
from eval.records import AnswerRecord
from eval.records.chosen import by_model_and_protocol
from eval.records.columns import Columns, columns, numbered
from eval.records.slices import SliceRows, quarter_edges, slice_rows
from reward_fns.errors import UserError

POOLED, ALL_QUESTIONS = "pooled", "all questions"
"""What stands beside the datasets' tags: in report.json, and as a figure's panel."""
_SMOOTH_RESAMPLES = 200  # each takes a millisecond
ESTIMATOR = {name: metric.estimator for name, metric in METRICS.items()} | {
    "intervals": f"{INTERVAL} ({_SMOOTH_RESAMPLES} for smooth_ece)",
    "ece_floor": "plain ECE that a perfectly calibrated model with these confidences shows on "
    "average at this n (independent verdicts of 0 or 1; graded ones have a lower floor)",
    "parse_failures": PARSE_FAILURE_POLICY,
}
PAPER_VERBAL_RATIOS = {"sft": 0.757, "rl": 0.578}
"""Mean Verbal ECE in the paper (14 datasets x 3 subsets, Tables 2 and 5 to 10) divided by
its base's mean, 0.305.
"""

SLICED_METRICS = ("ece", "ece_debiased", "auroc", "brier")
"""Of every slice, besides accuracy without an interval; all questions together
have all of `METRICS`.
"""


def scored(records: Sequence[AnswerRecord]) -> tuple[list[float], list[float]]:
    """Confidences and verdicts of the records that state a confidence, both
    (n - parse_failures,).
    """
    pairs = [
        (record.confidence, record.correct) for record in records if record.confidence is not None
    ]
    return [c for c, _ in pairs], [y for _, y in pairs]


def summarise(
    records: Sequence[AnswerRecord], metrics: Collection[str] = SLICED_METRICS
) -> SliceValues:
    """Values of one cell (model, protocol, slice; at least one record). See `ESTIMATOR`."""
    return summarise_columns(columns(records), metrics)


def summarise_columns(answers: Columns, metrics: Collection[str] = SLICED_METRICS) -> SliceValues:
    """`summarise` of columns."""
    given = (answers.confidence, answers.correct, answers.dataset)
    names = [name for name in metrics if name != "smooth_ece"]
    estimates = estimate_all(*given, names, clusters=answers.question)
    if "smooth_ece" in metrics:
        estimates |= estimate_all(
            *given, ["smooth_ece"], n_resamples=_SMOOTH_RESAMPLES, clusters=answers.question
        )
    confidence = answers.confidence[answers.readable]
    known = answers.truncated[~np.isnan(answers.truncated)]
    return SliceValues(
        n=answers.key.size,
        parse_failures=answers.key.size - confidence.size,
        metrics={
            name: Measured(one.value, one.low, one.high, one.reason)
            for name, one in estimates.items()
        },
        accuracy=_mean(answers.correct),
        ece_floor=ece_floor(confidence),
        mean_confidence=_mean(confidence),
        extreme_share=_mean((confidence == 0) | (confidence == 1)),
        well_formed=_mean(answers.well_formed),
        mean_claims=_mean(answers.n_claims),
        truncated=_mean(known),
    )


def summarise_claims(records: Sequence[AnswerRecord]) -> dict[str, ClaimCalibration]:
    """model -> calibration of the tags.

    A model's answers are the same for every protocol and count once; models without a
    judged claim are left out.
    """
    answers: dict[str, dict[str, AnswerRecord]] = defaultdict(dict)
    for record in records:
        answers[record.model].setdefault(record.key, record)
    found = {}
    for model in ordered_models(answers):
        claims = claim_calibration(list(answers[model].values()))
        if claims.n_claims:
            found[model] = claims
    return found


def _mean(values: ArrayLike) -> float:
    numbers = np.asarray(values, dtype=np.float64)
    return math.fsum(numbers) / numbers.size if numbers.size else math.nan


def _frequent_tokens(records: Sequence[AnswerRecord]) -> dict[str, float]:
    """The five most frequent tokens that DP stands on, with their shares;
    {} for other protocols.
    """
    tokens = [record.detail["token"] for record in records if "token" in record.detail]
    return {token: count / len(tokens) for token, count in Counter(tokens).most_common(5)}


Cells = dict[str, SliceValues]
"""Slice -> its values."""


def summarise_all(
    records: Sequence[AnswerRecord],
) -> tuple[dict[str, dict[str, Cells]], dict[str, dict[str, dict[str, Cells]]]]:
    """Values of every model and protocol.

    Returns:
        model -> protocol -> dataset or "pooled" -> `summarise`; and
        model -> protocol -> dimension other than "dataset" (see
            `slices.DIMENSIONS`) -> slice -> `summarise`.

    Raises:
        UserError: a tag that would stand for something else.
    """
    _check_tags(records)
    edges = quarter_edges(records)
    groups = by_model_and_protocol(records)
    models: dict[str, dict[str, Cells]] = {model: {} for model in groups}
    sliced: dict[str, dict[str, dict[str, Cells]]] = {model: {} for model in groups}
    work = [
        (numbered(columns(part)), slice_rows(part, edges))
        for protocols in groups.values()
        for part in protocols.values()
    ]
    with on_both_cores(len(records)) as run:
        found = tqdm(
            run(_cells, work),
            desc="metrics and their intervals",
            unit="record file",
            total=len(work),
        )
        for (answers, _), cells in zip(work, found, strict=True):
            part = groups[answers.model][answers.protocol]
            pooled = cells["dataset"][POOLED]
            cells["dataset"][POOLED] = replace(pooled, tokens=_frequent_tokens(part))
            models[answers.model][answers.protocol] = cells.pop("dataset")
            sliced[answers.model][answers.protocol] = cells
    return models, sliced


def _check_tags(records: Sequence[AnswerRecord]) -> None:
    """Two slices of one name would be one, and the other's numbers lost."""
    for dataset in sorted({record.dataset for record in records}):
        if dataset in (POOLED, ALL_QUESTIONS):
            raise UserError(
                f"a dataset has the tag {dataset!r}, by which a report means the questions of "
                "all datasets: rename it in the questions and records"
            )
    for subset in sorted({record.subset for record in records}):
        if "/" in subset:
            raise UserError(
                f"a subset is called {subset!r}, and a report writes DATASET/SUBSET: rename it "
                "without the slash in the questions and records"
            )


def _cells(work: tuple[Columns, SliceRows]) -> dict[str, Cells]:
    """Dimension -> slice -> values of one model and protocol; "pooled"
    stands among the datasets.
    """
    answers, parts = work
    cells = {
        dimension: {name: summarise_columns(answers.take(rows)) for name, rows in by_slice.items()}
        for dimension, by_slice in parts.items()
    }
    return cells | {
        "dataset": cells.get("dataset", {}) | {POOLED: summarise_columns(answers, METRICS)}
    }


def ece_ratios(models: Models, sliced: Slices, protocol: str) -> dict[str, EceRatios]:
    """ECE of each model divided by the base's, by one protocol; {} without a base.

    Args:
        models, sliced: of `summarise_all`.
    """
    if protocol not in models.get(BASE, {}):
        return {}
    base = _eces(BASE, models, sliced, protocol)
    found = {}
    for name, protocols in models.items():
        if name != BASE and protocol in protocols:
            own = _eces(name, models, sliced, protocol)
            found[name] = EceRatios(*map(_ratio, own, base))
    return found


def _eces(name: str, models: Models, sliced: Slices, protocol: str) -> tuple[float, float, float]:
    """ECE of all questions, its mean over datasets, and its mean over dataset x subset,
    NaN without a subset.
    """
    cells = models[name][protocol]
    datasets = [cell.value("ece") for dataset, cell in cells.items() if dataset != POOLED]
    subsets = sliced.get(name, {}).get(protocol, {}).get("dataset_subset", {})
    of_subsets = [cell.value("ece") for cell in subsets.values()]
    return cells[POOLED].value("ece"), _mean(datasets), _mean(of_subsets)


def _ratio(value: float, base: float) -> float:
    return value / base if base else math.nan
