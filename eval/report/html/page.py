"""report.html: templates, style sheet and script in one file that asks the network for nothing.

What models, judges and datasets wrote is untrusted: Jinja escapes all of it, the numbers for the script stand in a JSON
block in which no `<` occurs, and the page's content security policy runs the one script whose hash it names, so that
nothing else could run even if it got in.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from eval.comparison import Comparison
from eval.figures.checkpoints import checkpoint_courses
from eval.figures.coefficients import MEANING, NAMES, paper_coefficients
from eval.model_names import model_title
from eval.records import VERBAL, AnswerRecord
from eval.report.html.examples import REASONS, choose_examples, reference_text
from eval.report.html.payload import course_payload, reliability_payload, training_payload
from eval.report.html.pictures import read_pictures
from eval.report.html.provenance import facts, provenance_tables
from eval.report.markdown import THEORY, warnings_of
from eval.report.summary import ProtocolSummary
from eval.tables.table import Cell, Interval, Table, column_groups, columns_are_text, show
from reward_fns.coefficients_file import Coefficients
from reward_fns.files import without_nan

_HERE = Path(__file__).parent
_CLAIM_KINDS = (
    ("right sure", "right, and sure"),
    ("wrong sure", "wrong, yet sure"),
    ("right unsure", "right, yet not sure"),
    ("wrong unsure", "wrong, and not sure"),
)
_VERDICT_GROUPS = {
    "ece_debiased": "Calibration: debiased ECE, better to the left",
    "brier": "Accuracy of confidences: Brier score, better to the left",
    "auroc": "Telling right from wrong: AUROC, better to the right",
}
_SECTIONS = {
    "verdicts": "Verdicts",
    "reliability": "Reliability",
    "numbers": "Numbers",
    "pairs": "Pairs",
    "paper": "Paper",
    "slices": "Slices",
    "examples": "Answers",
    "training": "Training",
    "provenance": "Provenance",
}


def render_page(
    report: Mapping[str, Any],
    records: Sequence[AnswerRecord],
    summary: Sequence[ProtocolSummary],
    tables: Sequence[Table],
    coefficients: Mapping[str, Coefficients],
    questions: Path | None,
) -> str:
    """The page as text.

    Args:
        report: the content of report.json.
        records: the records that it was made from.
        tables: all tables; each finds its section by its name.
        coefficients: dataset -> coefficients; {} for none.
        questions: parquet for the example answers' images; None: no images.

    Raises:
        UserError: the parquet cannot be read, see `pictures.read_pictures`.
    """
    examples = choose_examples(records)
    wanted = {example.question_id for example in examples.shown}
    pictures = read_pictures(questions, wanted) if questions else {}
    charts = training_payload(report["training"])
    charts += course_payload(checkpoint_courses(report["models"], report["slices"]))
    payload = {"reliability": reliability_payload(report, records), "charts": charts}
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    heat = _heat(coefficients)
    placed = _by_section(tables)
    main = next((item for item in summary if item.protocol == VERBAL), summary[0])
    rest = [item for item in summary if item is not main]
    context: dict[str, Any] = {
        "name": str(report["config"].get("profile", "")),
        "headline": main.headline.partition(": ")[2][:1].upper()
        + main.headline.partition(": ")[2][1:],
        "lead": _lead(report, records, main),
        "summary": [_summary(item, item is main) for item in (main, *rest)],
        "main_tables": placed["numbers"],
        "comparison_tables": placed["pairs"],
        "paper_tables": placed["paper"],
        "slice_tables": placed["slices"],
        "training_tables": placed["training"],
        "provenance_tables": [*provenance_tables(report), *placed["provenance"]],
        "examples": examples,
        "pictures": pictures,
        "reference": reference_text,
        "reasons": REASONS,
        "claim_kinds": _CLAIM_KINDS,
        "example_datasets": sorted({example.dataset for example in examples.shown}),
        "charts": charts,
        "theory": [
            (model_title(model), THEORY[model]) for model in report["training"] if model in THEORY
        ],
        "coefficients": heat,
        "coefficient_names": NAMES,
        "coefficient_meaning": MEANING,
        "coefficient_top": max(
            (value for _, rows in heat for row in rows.values() for value in row.values()),
            default=1,
        ),
        "command": report["command"],
        "asked_differently": warnings_of(report),
        "facts": facts(report, records),
        "estimators": report["estimator"],
        "settings": _settings(report),
        "payload": htmlsafe_json_dumps(without_nan(payload)),
        "css": Markup((_HERE / "report.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": _csp_hash(script),
    }
    shown = {
        "pairs": placed["pairs"],
        "paper": placed["paper"],
        "slices": placed["slices"],
        "examples": examples.shown,
        "training": placed["training"] or charts or heat,
    }
    context["sections"] = [
        (anchor, title) for anchor, title in _SECTIONS.items() if shown.get(anchor, True)
    ]
    return _environment().get_template("report.html.jinja").render(context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        column_groups=column_groups,
        text_columns=columns_are_text,
        show=show,
        sort_value=_sort_value,
    )
    return environment


def _csp_hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _sort_value(cell: Cell) -> float | None:
    """What a numeric cell is sorted by; None for text and for nothing."""
    if isinstance(cell, Interval):
        return cell.value
    return None if cell is None or isinstance(cell, str) else cell


def _by_section(tables: Sequence[Table]) -> dict[str, list[Table]]:
    placed: dict[str, list[Table]] = {name: [] for name in _SECTIONS}
    sections = {
        "ece_by_protocol": "numbers",
        "auroc_by_protocol": "numbers",
        "overall": "numbers",
        "claims": "numbers",
        "ece_ratios": "numbers",
        "all_metrics": "numbers",
        "comparisons": "pairs",
        "paper_accuracy": "paper",
        "training": "training",
        "fixed_dynamic": "training",
        "stages": "provenance",
    }
    for table in tables:
        default = "paper" if table.name.startswith("calibration_") else "slices"
        placed[sections.get(table.name, default)].append(table)
    return placed


def _lead(report: Mapping[str, Any], records: Sequence[AnswerRecord], main: ProtocolSummary) -> str:
    models, datasets = len(report["models"]), len({record.dataset for record in records})
    questions = len({record.question_id for record in records})
    protocols = len({record.protocol for record in records})
    return (
        f"By the {main.headline.partition(': ')[0]} protocol, over all questions. {models} models, {protocols} "
        f"{'protocol' if protocols == 1 else 'protocols'}, {questions:,} questions of {datasets} "
        f"{'dataset' if datasets == 1 else 'datasets'}."
    )


def _summary(item: ProtocolSummary, main: bool) -> dict[str, Any]:
    """A protocol's verdicts with their little plots, all on one scale a metric."""
    scale: dict[str, float] = {}
    for comparison in item.verdicts:
        if comparison.verdict != "undefined":
            ends = (abs(end) for end in comparison.difference)
            scale[comparison.metric] = max(scale.get(comparison.metric, 1e-6), *ends)
    groups = [
        (title, [_row(c, scale) for c in item.verdicts if c.metric == metric])
        for metric, title in _VERDICT_GROUPS.items()
    ]
    return {
        "headline": item.headline,
        "main": main,
        "groups": [(title, rows) for title, rows in groups if rows],
    }


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


def _heat(
    coefficients: Mapping[str, Coefficients],
) -> list[tuple[str, dict[str, dict[str, float]]]]:
    if not coefficients:
        return []
    panels = {
        "Reward coefficients of this run": coefficients,
        "Reward coefficients of the paper (Table 4)": paper_coefficients(),
    }
    return [
        (title, {name: asdict(row) for name, row in rows.items()}) for title, rows in panels.items()
    ]


def _settings(report: Mapping[str, Any]) -> str:
    settings = {"config": report["config"], "records": report["records"]}
    return (
        json.dumps(settings, indent=2, ensure_ascii=False, default=str)
        if any(settings.values())
        else ""
    )
