"""The paper's own values, to stand beside ours: Tables 2 and 5 to 10 (ECE, AUC) and 11
and 12 (accuracy) as CSV.

`tables2_5to10_calibration.csv`: dataset, subset, model, protocol, ece, auroc; 14 datasets x 3
subsets x 4 models x 5 protocols. `tables11_12_accuracy.csv`: dataset, subset, model, accuracy; the
five QA datasets. Transcribed cell by cell.
"""

import csv
import math
from functools import cache
from pathlib import Path

from eval.naming.model_names import PAPER_MODELS, protocol_title

SUBSETS = ("entailment", "contradiction", "neutral")
QA_DATASETS = ("VQAv2", "GQA", "OK-VQA", "TextVQA", "OCR-VQA")

_HERE = Path(__file__).parent


@cache
def _calibration() -> dict[tuple[str, str, str, str], dict[str, float]]:
    with (_HERE / "tables2_5to10_calibration.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["dataset"], row["subset"], row["model"], row["protocol"]): {
                "ece": float(row["ece"]),
                "auroc": float(row["auroc"]),
            }
            for row in csv.DictReader(file)
        }


@cache
def _accuracy() -> dict[tuple[str, str, str], float]:
    with (_HERE / "tables11_12_accuracy.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["dataset"], row["subset"], row["model"]): float(row["accuracy"]) for row in rows}


@cache
def _by_plain_name() -> dict[str, str]:
    return {_plain(dataset): dataset for dataset, *_ in _calibration()}


def _column(protocol: str) -> str:
    """The paper's column for a protocol of ours. Its Verbal asks (section 4.3, A.8): that
    is our `verbal_asked`.
    """
    return {"verbal_asked": "Verbal", "verbal": ""}.get(protocol, protocol_title(protocol))


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def dataset_of(tag: str) -> str | None:
    """The paper's dataset behind a tag, however it is spelt (case, dashes), None if it has none.

    >>> dataset_of("text-vqa"), dataset_of("pocket-digit")
    ('TextVQA', None)
    """
    return _by_plain_name().get(_plain(tag))


def calibration(dataset: str, subset: str, model: str, protocol: str, metric: str) -> float | None:
    """ECE or AUROC that Tables 2 and 5 to 10 give, None where they give none.

    Args:
        dataset, model, protocol: our names.
        metric: "ece" or "auroc".
    """
    key = (dataset_of(dataset) or "", subset, PAPER_MODELS.get(model, ""), _column(protocol))
    return _calibration().get(key, {}).get(metric)


def accuracy(dataset: str, subset: str, model: str) -> float | None:
    """Accuracy that Tables 11 and 12 give, None where they give none; arguments
    as for `calibration`.
    """
    name = PAPER_MODELS.get(model, "").removeprefix("LLaVA ")
    return _accuracy().get((dataset_of(dataset) or "", subset, name))


def mean_calibration(
    model: str, protocol: str, metric: str, task: str | None = None
) -> float | None:
    """Mean of ECE or AUROC over the paper's datasets and subsets, None where it has
    no such model or protocol.

    Args:
        model, protocol: our names.
        metric: "ece" or "auroc".
        task: "QA" or "Detail" for the datasets of that task; None for all 14.
    """
    values = [
        cell[metric]
        for (dataset, _, name, title), cell in _calibration().items()
        if name == PAPER_MODELS.get(model)
        and title == _column(protocol)
        and task in (None, "QA" if dataset in QA_DATASETS else "Detail")
    ]
    return math.fsum(values) / len(values) if values else None
