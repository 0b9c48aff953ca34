"""report.md: the summary in words, the tables, and how to read them; also
printed at the end of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eval.naming.model_names import model_title
from eval.numbers.summarise import ESTIMATOR
from eval.report.content import Report
from eval.report.summary import ProtocolSummary
from eval.tables.render import to_markdown
from eval.tables.table import Table
from reward_fns.markup import literal

THEORY = {
    "rl": "for a one-claim answer with a binary verdict the expected reward is linear in the "
    "confidence (L1 penalty), so its optimum is a confidence of 0 or 1 whatever the "
    "chance of being right, and the ECE, then the share of answers on the wrong side, "
    "cannot go to 0 by itself",
    "rl_proper": "the optimum of the Brier penalty is a confidence equal to the probability of "
    "being right, so nothing pulls it to 0 or 1 and the ECE can go to 0",
    "rl_segments": "the number's tokens are paid by its squared distance from the verdict alone, "
    "whose optimum is the probability of being right; how right the claims are pays the claims",
}
_IN_SUMMARY = ("ece_by_protocol", "auroc_by_protocol", "overall", "ece_ratios")
_IN_FULL = ("claims", "ece_by_dataset", "auroc_by_dataset", "paper_accuracy", "training", "stages")
"""Tables that are printed, and those that follow in report.md; all are in the HTML
report and `tables/`.
"""


def render_summary(
    summary: Sequence[ProtocolSummary], tables: Sequence[Table], warnings: Sequence[str] = ()
) -> str:
    """What to know first (`content.Warnings`), headlines, verdicts, the
    tables over all questions.
    """
    parts = ["# Calibration report\n", *(f"**{warning}**\n" for warning in warnings)]
    for item in summary:
        sentences = [
            comparison.sentence()
            for comparison in item.verdicts
            if comparison.metric == "ece_debiased"
        ]
        parts += [f"**{item.headline}**\n", "".join(f"- {sentence}\n" for sentence in sentences)]
    parts = [literal(part) for part in parts]
    parts += [_section(table) for table in tables if table.name in _IN_SUMMARY]
    return "\n".join(part for part in parts if part)


def render_report(
    report: Report, summary: Sequence[ProtocolSummary], tables: Sequence[Table]
) -> str:
    """The whole report as Markdown.

    Args:
        tables: all tables; those of `_IN_FULL` and the paper's layouts are shown.
    """
    parts = [render_summary(summary, tables, report.warnings.all())]
    for table in tables:
        if table.name == "training":
            parts += [_section(table, with_notes=True), theory_text(report.training)]
        elif table.name in _IN_FULL or table.name.startswith("calibration_"):
            parts += [_section(table)]
    parts += ["Every table: `tables/` (CSV, LaTeX, Markdown) and report.html.\n"]
    parts += [
        "## How to read the numbers\n",
        "".join(f"- {name}: {text}.\n" for name, text in ESTIMATOR.items()),
    ]
    return "\n".join(part for part in parts if part)


def _section(table: Table, with_notes: bool = False) -> str:
    """Without the notes on estimators, which the end of the report has once for all."""
    shown = table if with_notes else replace(table, notes=())
    return f"## {literal(table.title)}\n\n{to_markdown(shown)}"


def theory_text(training: Mapping[str, Any]) -> str:
    """What theory expects of each trained model's rule; "" if it says nothing of them."""
    lines = [
        f"- {literal(model_title(model))}: {THEORY[model]}.\n"
        for model in training
        if model in THEORY
    ]
    return (
        "\n".join(["What theory says of each rule's optimum (not measured):\n", "".join(lines)])
        if lines
        else ""
    )
