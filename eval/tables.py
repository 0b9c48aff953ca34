"""Markdown tables of the report and of the comparison over seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eval.records import VERBAL
from eval.report import ESTIMATOR, MODEL_ORDER, PAPER_VERBAL_RATIOS, POOLED
from eval.training import Curves, phases, steps_a_phase

_MODEL_TITLES = {
    "base": "base",
    "sft": "SFT",
    "rl": "RL (Algorithm 1)",
    "rl_proper": "RL (proper rule)",
    "rl_on_base": "RL adapter on base",
}
_PAPER_NOTE = (
    f"The paper's own ratios of mean Verbal ECE (14 datasets x 3 subsets): SFT {PAPER_VERBAL_RATIOS['sft']}, "
    f"RL {PAPER_VERBAL_RATIOS['rl']}.\n"
)
_TRAINING_NOTE = (
    "Measured on the rollouts of each step: means over the first, the middle and the last tenth of the steps. They\n"
    "are not comparable with the held-out values above, nor quite with each other: dynamic sampling leaves out groups\n"
    "that tie on its metric, which each rule chooses, and the ECE of one step is biased upwards, the more so the\n"
    "fewer rollouts it has. Figure: training.png.\n"
)
_THEORY = {
    "rl": "for a one-claim answer with a binary verdict the expected reward is linear in the confidence (L1 penalty), "
    "so its optimum is a confidence of 0 or 1 whatever the chance of being right, and the ECE, then the share of "
    "answers on the wrong side, cannot go to 0 by itself",
    "rl_proper": "the optimum of the Brier penalty is a confidence equal to the probability of being right, so nothing "
    "pulls it to 0 or 1 and the ECE can go to 0",
}


def model_title(name: str) -> str:
    """A model's name as tables and figures show it."""
    return _MODEL_TITLES.get(name, name)


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _with_interval(cell: Mapping[str, Any], name: str) -> str:
    low, high = cell.get(f"{name}_interval") or (None, None)
    return number(cell[name]) if low is None or math.isnan(low) else f"{cell[name]:.3f} [{low:.3f}, {high:.3f}]"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns padded to be read in a terminal; the first column left, the others right."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def render(line: Sequence[str]) -> str:
        first, *others = zip(line, widths, strict=True)
        return f"| {' | '.join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])} |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([render(header), rule, *map(render, rows)]) + "\n"


def pooled_table(models: Mapping[str, Any], protocol: str) -> str:
    """One row a model, over all questions, with intervals."""
    header = ["model", "ECE", "AUROC", "Brier", "accuracy", "mean conf.", "at 0 or 1", "claims", "n", "parse failures"]
    rows = []
    for name, protocols in models.items():
        if protocol not in protocols:
            continue
        cell = protocols[protocol][POOLED]
        rows.append(
            [
                model_title(name),
                *(_with_interval(cell, metric) for metric in ("ece", "auroc", "brier")),
                number(cell["accuracy"]),
                number(cell["mean_confidence"]),
                number(100 * cell["extreme_share"], 0) + " %",
                number(cell["mean_claims"], 1),
                str(cell["n"]),
                str(cell["parse_failures"]),
            ]
        )
    return markdown_table(header, rows)


def dataset_table(models: Mapping[str, Any], protocol: str, metric: str) -> str:
    """One row a model, one column a dataset."""
    present = {name: protocols[protocol] for name, protocols in models.items() if protocol in protocols}
    datasets = sorted({dataset for cells in present.values() for dataset in cells} - {POOLED}) + [POOLED]
    rows = [
        [model_title(name), *(number(cells[d][metric]) if d in cells else "-" for d in datasets)]
        for name, cells in present.items()
    ]
    return markdown_table(["model", *datasets], rows)


def ratio_table(ratios: Mapping[str, Mapping[str, Any]]) -> str:
    """ECE of each model divided by the base's."""
    rows = [[model_title(name), number(r["pooled"]), number(r["mean_over_datasets"])] for name, r in ratios.items()]
    return markdown_table(["ECE / base ECE", "pooled", "mean over datasets"], rows)


def training_section(training: Mapping[str, Curves]) -> str:
    """How ECE and the share of confidences at 0 or 1 moved during GRPO, and apart from it what theory expects."""
    measured = ("ece", "at_0_or_1")
    header = [
        "model",
        "steps",
        *(f"{title}, {p}" for title in ("ECE", "at 0 or 1") for p in ("first", "middle", "last")),
    ]
    rows = []
    for model, curves in training.items():
        ece, extreme = (phases(curves[name]) for name in measured)
        shares = [number(100 * share, 0) + (" %" if not math.isnan(share) else "") for share in extreme]
        n = len(curves["steps"])
        rows.append([model_title(model), f"3 x {steps_a_phase(n)} of {n}", *map(number, ece), *shares])
    parts = ["## How confidence moved during GRPO\n", _TRAINING_NOTE, markdown_table(header, rows)]
    theory = [f"- {model_title(model)}: {_THEORY[model]}.\n" for model in training if model in _THEORY]
    if theory:
        parts += ["What theory says of each rule's optimum (not measured):\n", "".join(theory)]
    return "\n".join(parts)


def render_report(report: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    models = report["models"]
    protocols = sorted({protocol for cells in models.values() for protocol in cells})
    parts = ["# Calibration report\n"]
    for protocol in protocols:
        parts += [f"## {protocol.capitalize()}, all questions\n", pooled_table(models, protocol)]
        if report["ece_ratios"].get(protocol):
            parts += [ratio_table(report["ece_ratios"][protocol])]
            if protocol == VERBAL:
                parts += [_PAPER_NOTE]
        for metric, title in (("ece", "ECE"), ("auroc", "AUROC"), ("brier", "Brier score"), ("accuracy", "Accuracy")):
            parts += [f"## {protocol.capitalize()}, {title} by dataset\n", dataset_table(models, protocol, metric)]
    if report["training"]:
        parts += [training_section(report["training"])]
    parts += ["## How to read the numbers\n", "".join(f"- {name}: {text}.\n" for name, text in ESTIMATOR.items())]
    if report["stage_seconds"]:
        rows = [[stage, number(seconds, 0)] for stage, seconds in report["stage_seconds"].items()]
        parts += ["## Wall time\n", markdown_table(["stage", "seconds"], rows)]
    return "\n".join(parts)


def render_seed_comparison(reports: Sequence[Mapping[str, Any]], protocol: str) -> str:
    """Mean over the reports of each pooled value, with its range; one row a model.

    A model that some reports lack is averaged over the others; the column `runs` says over how many.
    """
    names = {name for report in reports for name, cells in report["models"].items() if protocol in cells}
    ordered = [name for name in MODEL_ORDER if name in names] + sorted(names - set(MODEL_ORDER))
    rows = []
    for name in ordered:
        cells = [r["models"][name][protocol][POOLED] for r in reports if protocol in r["models"].get(name, {})]
        ratios = [r["ece_ratios"].get(protocol, {}).get(name, {}).get("pooled") for r in reports]
        rows.append(
            [
                model_title(name),
                _mean_and_range(ratios),
                *(
                    _mean_and_range([c[m] for c in cells])
                    for m in ("ece", "auroc", "brier", "accuracy", "extreme_share")
                ),
                str(sum(c["parse_failures"] for c in cells)),
                str(len(cells)),
            ]
        )
    header = ["model", "ECE / base", "ECE", "AUROC", "Brier", "accuracy", "at 0 or 1", "parse failures", "runs"]
    seeds = ", ".join(str(report.get("seed")) for report in reports)
    return f"# Over {len(reports)} runs (seeds {seeds}), {protocol}, all questions: mean [lowest, highest]\n\n" + (
        markdown_table(header, rows)
    )


def _mean_and_range(values: Sequence[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{sum(known) / len(known):.3f} [{min(known):.3f}, {max(known):.3f}]" if known else "-"
