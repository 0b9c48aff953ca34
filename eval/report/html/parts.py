"""The page's collapsed parts as plain JSON, from which report.js builds a part
when its reader opens it.

A page that held them as markup would have some 24,000 elements, and be
45,000 pixels high on a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from eval.comparison import Comparison
from eval.figures.coefficients import MEANING, NAMES, paper_coefficients
from eval.numbers.values import Interval
from eval.report.html.examples import REASONS, Example, Examples, ShownAnswer, reference_text
from eval.report.html.pictures import Picture
from eval.report.summary import ProtocolSummary
from eval.tables.render import render
from eval.tables.table import Cell, Table, column_groups, columns_are_text
from reward_fns.coefficients_file import Coefficients

_VERDICT_GROUPS = {
    "ece": "Calibration: ECE, better to the left",
    "ece_debiased": "Calibration: debiased ECE, better to the left",
    "auroc": "Telling right from wrong: AUROC, better to the right",
    "brier": "Accuracy of the confidence: Brier score, better to the left",
}
_SORT_DIGITS = 6
_FORMS = {"CSV": ".csv", "LaTeX": ".tex", "Markdown": ".md"}


def table_payload(table: Table) -> dict[str, Any]:
    """A table as report.js builds it: each cell as it is shown, a number with the
    value that it sorts by.
    """
    grouped = any(column.group for column in table.columns)
    return {
        "title": table.title,
        "groups": column_groups(table.columns) if grouped else [],
        "columns": [
            [column.heading, text]
            for column, text in zip(table.columns, columns_are_text(table), strict=True)
        ],
        "rows": [list(map(_cell, *pair)) for pair in zip(table.rows, table.shown(), strict=True)],
        "notes": list(table.notes),
    }


def table_texts(table: Table) -> dict[str, str]:
    """What the buttons copy: the content of the table's three files."""
    return {form: render(table, suffix) for form, suffix in _FORMS.items()}


def sort_value(cell: Cell) -> float | None:
    """What a numeric cell is sorted by; None for text and for nothing."""
    value = cell.value if isinstance(cell, Interval) else cell
    if value is None or isinstance(value, str) or value != value:
        return None
    return value if isinstance(value, int) else round(value, _SORT_DIGITS)


def _cell(cell: Cell, shown: str) -> str | list[Any]:
    value = sort_value(cell)
    return shown if value is None else [shown, value]


def without_empty_paper_columns(table: Table) -> Table:
    """The same table without those columns of the paper's values in which there is none."""
    kept = [
        place
        for place, column in enumerate(table.columns)
        if not column.name.startswith("paper") or any(row[place] is not None for row in table.rows)
    ]
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def has_the_papers_values(table: Table) -> bool:
    """Whether any of its cells is the paper's."""
    return any(
        column.name.startswith("paper") for column in without_empty_paper_columns(table).columns
    )


def verdict_payload(summary: Sequence[ProtocolSummary]) -> list[dict[str, Any]]:
    """A protocol's verdicts with their little plots, all on one scale a metric."""
    return [_summary(item) for item in summary]


def _summary(item: ProtocolSummary) -> dict[str, Any]:
    scale: dict[str, float] = {}
    for comparison in item.verdicts:
        if comparison.verdict != "undefined":
            ends = (abs(end) for end in comparison.difference)
            scale[comparison.metric] = max(scale.get(comparison.metric, 1e-6), *ends)
    metrics = dict.fromkeys(comparison.metric for comparison in item.verdicts)
    groups = [
        {
            "title": _VERDICT_GROUPS.get(metric, metric),
            "rows": [_row(c, scale) for c in item.verdicts if c.metric == metric],
        }
        for metric in metrics
    ]
    return {"headline": item.headline, "groups": groups}


def _row(comparison: Comparison, scale: Mapping[str, float]) -> dict[str, Any]:
    row = {
        "verdict": comparison.verdict,
        "phrase": comparison.phrase(),
        "numbers": comparison.numbers(),
        "plot": None,
        "ends": "",
    }
    if comparison.verdict == "undefined":
        return row
    difference = comparison.difference
    plot = [round(100 + 92 * value / scale[comparison.metric], 1) for value in difference]
    return row | {"plot": plot, "ends": f"{difference.low:.3f} to {difference.high:.3f}"}


def example_payload(examples: Examples, pictures: Mapping[str, Picture]) -> list[dict[str, Any]]:
    """The example questions with their pictures and the models' answers."""
    return [_example(example, pictures.get(example.question_id)) for example in examples.shown]


def _example(example: Example, picture: Picture | None) -> dict[str, Any]:
    return {
        "dataset": example.dataset,
        "reason": example.reason,
        "question": example.question,
        "meta": f"{example.dataset} · {example.task} · {REASONS[example.reason]}",
        "alt": f"Image of question {example.question_id}",
        "picture": [picture.uri, picture.width, picture.height] if picture else None,
        "reference": reference_text(picture) if picture else "",
        "answers": [_answer(answer) for answer in example.answers],
    }


def _answer(answer: ShownAnswer) -> dict[str, Any]:
    confidence = (
        "confidence cannot be read"
        if answer.confidence is None
        else f"confidence {answer.confidence:.2f}"
    )
    return {
        "model": answer.model,
        "kind": answer.kind,
        "confidence": answer.confidence,
        "meter": f"{confidence}, verdict {answer.correct:.2f}",
        "claims": [
            [claim.kind, claim.text, _tag(claim.sure, claim.right)] for claim in answer.claims
        ],
        "text": answer.text or "(empty)",
    }


def _tag(sure: bool, right: bool | None) -> str:
    said = "sure" if sure else "not sure"
    return said if right is None else f"{said}, {'right' if right else 'wrong'}"


def heat_payload(coefficients: Mapping[str, Coefficients]) -> list[dict[str, Any]]:
    """The run's coefficients beside the paper's, each value with its place on the scale in
    percent; [] for none.
    """
    if not coefficients:
        return []
    panels = {
        "Reward coefficients of this run": coefficients,
        "Reward coefficients of the paper (Table 4)": paper_coefficients(),
    }
    top = max(max(asdict(row).values()) for rows in panels.values() for row in rows.values())
    return [_heat(title, rows, top) for title, rows in panels.items()]


def _heat(title: str, rows: Mapping[str, Coefficients], top: float) -> dict[str, Any]:
    heat: dict[str, Any] = {"title": title, "datasets": list(rows), "rows": []}
    for name, sign in NAMES.items():
        values = [getattr(row, name) for row in rows.values()]
        shown = [[f"{value:.2f}", round(100 * value / top)] for value in values]
        heat["rows"].append({"sign": sign, "meaning": MEANING[name], "values": shown})
    return heat
