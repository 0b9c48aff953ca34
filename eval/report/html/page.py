"""report.html: templates, style sheet and script in one file that asks the network for nothing.

The first screen is plain HTML but for its two diagrams; the parts below it are collapsed, and the
script builds one when its reader opens it. What models, judges and datasets wrote is untrusted:
Jinja escapes all of it, what is for the script stands in JSON blocks in which no `<` occurs and
becomes text nodes and attributes, never markup; and the page's content security policy runs the
one script whose hash it names, so that nothing else could run even if it got in.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from eval.figures.checkpoints import checkpoint_courses
from eval.naming.model_names import model_title, protocol_title
from eval.numbers.summarise import ESTIMATOR
from eval.records import VERBAL, AnswerRecord
from eval.report.content import Provenance, Report
from eval.report.hallucination import NONE, PREFIX, Hallucination
from eval.report.html.examples import REASONS, Examples
from eval.report.html.first_screen import FirstScreen, first_screen
from eval.report.html.parts import (
    example_payload,
    has_the_papers_values,
    heat_payload,
    table_payload,
    table_texts,
    verdict_payload,
    without_empty_paper_columns,
)
from eval.report.html.payload import course_payload, reliability_payload, training_payload
from eval.report.html.pictures import Picture
from eval.report.html.provenance import facts, provenance_tables
from eval.report.markdown import THEORY
from eval.report.summary import ProtocolSummary
from eval.tables.table import Table, columns_are_text, show
from reward_fns.coefficients_file import Coefficients
from reward_fns.files import without_nan

_HERE = Path(__file__).parent
_SCRIPTS = ("dom", "reliability", "lines", "tables", "answers", "parts")
"""Files of `script/` in the order in which they are one script."""
_CLAIM_KINDS = (
    ("right sure", "right, and sure"),
    ("wrong sure", "wrong, yet sure"),
    ("right unsure", "right, yet not sure"),
    ("wrong unsure", "wrong, and not sure"),
)
_PARTS = {
    "verdicts": ("Verdicts", "each pair of models by each protocol, with its interval"),
    "reliability": ("Diagrams", "reliability of any model, protocol and kind of question"),
    "numbers": ("Numbers", "every metric over all questions, claims, ratios to the base"),
    "pairs": ("Pairs", "all pairs of models in one table"),
    "paper": ("Beside the paper", "its Tables 2 and 5 to 12 with our values"),
    "slices": ("Slices", "by dataset, task, subset, rarity and margin of the votes"),
    "hallucination": (
        "Hallucination",
        "Table 3 for these models, and what their confidence is worth there",
    ),
    "examples": ("Answers", "example questions with the models' claims"),
    "training": ("Training", "curves, checkpoints, coefficients"),
    "provenance": ("Provenance", "command, hashes, estimators, versions, settings"),
}
"""Anchor -> heading, and what is inside."""


def render_page(
    report: Report,
    records: Sequence[AnswerRecord],
    summary: Sequence[ProtocolSummary],
    tables: Sequence[Table],
    coefficients: Mapping[str, Coefficients],
    examples: Examples,
    pictures: Mapping[str, Picture],
    hallucination: Hallucination = NONE,
) -> str:
    """The page as text.

    Args:
        report: the numbers.
        records: the records that it was made from.
        tables: all tables; each finds its section by its name.
        coefficients: dataset -> coefficients; {} for none.
        examples: the example answers.
        pictures: question id -> image, of those example questions that have one.
        hallucination: what that command found, if it was run.
    """
    charts = training_payload(report.training)
    charts += course_payload(checkpoint_courses(report.models, report.slices))
    heat = heat_payload(coefficients)
    placed = _by_part([*tables, *hallucination.tables])
    placed["provenance"] = [*provenance_tables(report.made), *placed["provenance"]]
    main = next((item for item in summary if item.protocol == VERBAL), summary[0])
    first = first_screen(report.models, report.comparisons, main)
    payload = {
        "reliability": reliability_payload(report.models, report.slices, records),
        "first": {
            "protocol": first.protocol,
            "diagrams": list(first.diagrams),
            "tables": [table.name for table in first.tables],
        },
        "parts": {part: [table.name for table in group] for part, group in placed.items()},
        "tables": {table.name: table_payload(table) for table in _all(first, placed)},
        "verdicts": verdict_payload([main, *(item for item in summary if item is not main)]),
        "examples": example_payload(examples, pictures),
        "charts": charts,
        "hallucination": list(hallucination.charts),
        "heat": heat,
    }
    texts = {table.name: table_texts(table) for table in _all(first, placed)}
    shown = {
        "pairs": placed["pairs"],
        "paper": placed["paper"],
        "slices": placed["slices"],
        "hallucination": placed["hallucination"],
        "examples": examples.shown,
        "training": placed["training"] or charts or heat,
    }
    script = "\n".join(
        (_HERE / "script" / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS
    )
    context: dict[str, Any] = {
        "name": str(report.made.config.get("profile", "")),
        "first": first,
        "lead": _lead(len(report.models), records),
        "parts": {name: part for name, part in _PARTS.items() if shown.get(name, True)},
        "with_pairs": bool(placed["pairs"]),
        "examples": examples,
        "pictures": pictures,
        "reasons": REASONS,
        "claim_kinds": _CLAIM_KINDS,
        "example_datasets": sorted({example.dataset for example in examples.shown}),
        "theory": [
            (model_title(model), THEORY[model]) for model in report.training if model in THEORY
        ],
        "command": report.made.command,
        "asked_differently": report.warnings.all(),
        "facts": facts(report.made, records),
        "estimators": ESTIMATOR,
        "settings": _settings(report.made),
        "payload": htmlsafe_json_dumps(without_nan(payload), **_COMPACT),
        "texts": htmlsafe_json_dumps(texts, **_COMPACT),
        "css": Markup((_HERE / "report.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": _csp_hash(script),
    }
    return _environment().get_template("report.html.jinja").render(context)


_COMPACT: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False}


def _all(first: FirstScreen, placed: Mapping[str, Sequence[Table]]) -> list[Table]:
    return [*first.tables, *chain.from_iterable(placed.values())]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        protocol_title=protocol_title,
        text_columns=columns_are_text,
        show=show,
    )
    return environment


def _csp_hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


_PAPERS_LAYOUT = ("calibration_", "paper_accuracy")


def _by_part(tables: Sequence[Table]) -> dict[str, list[Table]]:
    """Part of the page -> its tables; a table in the paper's layout without the
    paper's values is a slice.
    """
    placed: dict[str, list[Table]] = {name: [] for name in _PARTS}
    parts = {
        "ece_by_protocol": "numbers",
        "auroc_by_protocol": "numbers",
        "overall": "numbers",
        "claims": "numbers",
        "ece_ratios": "numbers",
        "all_metrics": "numbers",
        "comparisons": "pairs",
        "training": "training",
        "fixed_dynamic": "training",
        "stages": "provenance",
    }
    for table in tables:
        default = "paper" if has_the_papers_values(table) else "slices"
        if table.name.startswith(PREFIX):
            default = "hallucination"
        part = parts.get(table.name, default)
        placed[part].append(without_empty_paper_columns(table))
    placed["slices"].sort(key=lambda table: table.name.startswith(_PAPERS_LAYOUT))
    return placed


def _lead(models: int, records: Sequence[AnswerRecord]) -> str:
    datasets = len({record.dataset for record in records})
    questions = len({record.question_id for record in records})
    protocols = len({record.protocol for record in records})
    return (
        f"{models} {'model' if models == 1 else 'models'}, {protocols} "
        f"{'protocol' if protocols == 1 else 'protocols'}, {questions:,} questions of {datasets} "
        f"{'dataset' if datasets == 1 else 'datasets'}."
    )


def _settings(made: Provenance) -> str:
    settings = {"config": made.config, "records": made.records}
    return (
        json.dumps(settings, indent=2, ensure_ascii=False, default=str)
        if any(settings.values())
        else ""
    )
