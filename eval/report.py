"""From answer records to the report's numbers: models -> protocol -> dataset (each tag, and "pooled") -> values."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.metrics import DEFAULT_BINS, auroc, bootstrap_interval, brier_score, expected_calibration_error
from eval.records import AnswerRecord, read_records
from reward_fns.errors import UserError
from reward_fns.files import PARTIAL_SUFFIX

POOLED = "pooled"
MODEL_ORDER = ("base", "sft", "rl", "rl_proper", "rl_on_base")
ESTIMATOR = {
    "ece": f"{DEFAULT_BINS} bins of equal width [k/{DEFAULT_BINS}, (k+1)/{DEFAULT_BINS}), the last one closed",
    "auroc": "confidence as a score for correctness, ties count one half; a graded verdict y counts as y of a positive "
    "and 1 - y of a negative",
    "intervals": "95 % percentile bootstrap over questions, 1000 resamples",
    "parse_failures": "answers whose confidence cannot be read: counted, left out of ECE, AUROC and Brier score, kept "
    "in accuracy and n",
}
PAPER_VERBAL_RATIOS = {"sft": 0.757, "rl": 0.578}
"""Mean Verbal ECE in the paper (14 datasets x 3 subsets, Tables 2 and 5 to 10) divided by its base's mean, 0.305."""

_METRICS = {"ece": expected_calibration_error, "auroc": auroc, "brier": brier_score}


def load_records(directory: Path) -> list[AnswerRecord]:
    """Records of all `*.jsonl` files of a directory.

    Raises:
        UserError: no record file, an unfinished one, a malformed line, or a question answered twice by one model.
    """
    if unfinished := sorted(directory.glob(f"*{PARTIAL_SUFFIX}")):
        raise UserError(f"{unfinished[0]} is not whole: run the same `python -m eval records` again, it goes on there")
    files = sorted(directory.glob("*.jsonl"))
    if not files:
        raise UserError(f"no record files (*.jsonl) in {directory}: make them with `python -m eval records`")
    records = [record for file in files for record in read_records(file)]
    seen: set[tuple[str, str, str]] = set()
    for record in records:
        key = (record.model, record.protocol, record.question_id)
        if key in seen:
            raise UserError(f"{directory}: {record.model} answers question {record.question_id} twice; remove one file")
        seen.add(key)
    return records


def ordered_models(names: Sequence[str]) -> list[str]:
    """The project's own models in the order of training, then others by name."""
    return sorted(set(names), key=lambda name: (MODEL_ORDER.index(name) if name in MODEL_ORDER else 99, name))


def scored(records: Sequence[AnswerRecord]) -> tuple[list[float], list[float]]:
    """Confidences and verdicts of the records that state a confidence, both (n - parse_failures,)."""
    pairs = [(record.confidence, record.correct) for record in records if record.confidence is not None]
    return [c for c, _ in pairs], [y for _, y in pairs]


def summarise(records: Sequence[AnswerRecord]) -> dict[str, Any]:
    """Values of one cell (model, protocol, dataset); NaN where undefined. See `ESTIMATOR`.

    ece, auroc, brier, each with `<name>_interval` [low, high]; accuracy: mean verdict of all n; n; parse_failures;
    mean_confidence; extreme_share: share of confidences at exactly 0 or 1; well_formed: share of all n; mean_claims.
    """
    confidence, correct = scored(records)
    values: dict[str, Any] = {}
    for name, metric in _METRICS.items():
        values[name] = metric(confidence, correct)
        values[f"{name}_interval"] = list(bootstrap_interval(metric, confidence, correct))
    return values | {
        "accuracy": _mean([record.correct for record in records]),
        "n": len(records),
        "parse_failures": len(records) - len(confidence),
        "mean_confidence": _mean(confidence),
        "extreme_share": _mean([float(c in (0.0, 1.0)) for c in confidence]),
        "well_formed": _mean([float(record.well_formed) for record in records]),
        "mean_claims": _mean([float(len(record.claims)) for record in records]),
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def by_model_and_protocol(records: Sequence[AnswerRecord]) -> dict[str, dict[str, list[AnswerRecord]]]:
    """Records under model (in `ordered_models` order) and protocol."""
    groups: dict[str, dict[str, list[AnswerRecord]]] = {name: {} for name in ordered_models([r.model for r in records])}
    for record in records:
        groups[record.model].setdefault(record.protocol, []).append(record)
    return groups


def summarise_all(records: Sequence[AnswerRecord]) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """model -> protocol -> dataset or "pooled" -> `summarise`."""
    return {
        model: {protocol: _summarise_datasets(answers) for protocol, answers in protocols.items()}
        for model, protocols in by_model_and_protocol(records).items()
    }


def _summarise_datasets(records: Sequence[AnswerRecord]) -> dict[str, dict[str, Any]]:
    datasets: dict[str, list[AnswerRecord]] = defaultdict(list)
    for record in records:
        datasets[record.dataset].append(record)
    return {name: summarise(datasets[name]) for name in sorted(datasets)} | {POOLED: summarise(records)}


def ece_ratios(models: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]], protocol: str) -> dict[str, Any]:
    """ECE of each model divided by the base's: the pooled ECE, and the mean over datasets, as the paper has it."""

    def mean_over_datasets(cells: Mapping[str, Mapping[str, Any]]) -> float:
        return _mean([cell["ece"] for name, cell in cells.items() if name != POOLED])

    if protocol not in models.get("base", {}):
        return {}
    base = models["base"][protocol]
    return {
        name: {
            "pooled": _ratio(protocols[protocol][POOLED]["ece"], base[POOLED]["ece"]),
            "mean_over_datasets": _ratio(mean_over_datasets(protocols[protocol]), mean_over_datasets(base)),
        }
        for name, protocols in models.items()
        if name != "base" and protocol in protocols
    }


def _ratio(value: float, base: float) -> float:
    return value / base if base else math.nan
