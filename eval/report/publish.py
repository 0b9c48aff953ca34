"""Write the report: report.html, report.md, report.json, tables/ and the figures, from
records and training logs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.comparison import compare_all, comparison_table
from eval.figures.checkpoints import checkpoint_courses, draw_checkpoints
from eval.figures.coefficients import draw_coefficients
from eval.figures.fixed_dynamic import (
    draw_fixed_and_dynamic,
    fixed_and_dynamic,
    fixed_dynamic_table,
)
from eval.figures.reliability import draw_reliability
from eval.figures.risk_coverage import draw_risk_coverage
from eval.figures.training import draw_training
from eval.naming.out_paths import check_out_directory
from eval.numbers.summarise import ece_ratios, summarise_all, summarise_claims
from eval.numbers.training_curves import read_training
from eval.records import VERBAL, AnswerRecord, load_records
from eval.records.chosen import Groups, by_model_and_protocol
from eval.records.left_out import left_out
from eval.records.settings import settings_path
from eval.records.versions import versions
from eval.report.asked_alike import differences
from eval.report.content import Provenance, Report, Warnings
from eval.report.cut_off import cut_off
from eval.report.hallucination import NONE, read_hallucination
from eval.report.html.examples import Examples, choose_examples
from eval.report.html.page import render_page
from eval.report.html.pictures import Picture, read_pictures
from eval.report.markdown import render_report, render_summary
from eval.report.merged import merged_by_sc
from eval.report.stages import read_stage_seconds
from eval.report.summary import summaries
from eval.tables.metric_columns import protocols_of
from eval.tables.paper_tables import paper_tables
from eval.tables.render import render
from eval.tables.report_tables import (
    all_metrics_table,
    claim_table,
    overall_table,
    protocol_table,
    ratio_table,
)
from eval.tables.run_tables import stage_table, training_table
from eval.tables.slice_tables import slice_tables
from eval.tables.table import Table
from reward_fns.coefficients_file import Coefficients, load_coefficients
from reward_fns.errors import UserError
from reward_fns.files import read_mapping, write_json, write_text


@dataclass(frozen=True)
class Sources:
    """What a report is made from; only the records are needed.

    Attributes:
        config: JSON or YAML file of the run's settings, kept in the report.
        stages: directory of wall times, see `stages`.
        curves: directory of training logs, see `training`.
        questions: parquet of the questions, for the images of example answers.
        coefficients: YAML file of the reward's coefficients.
        hallucination: what `python -m eval hallucination` wrote.
        command: as the user typed it, kept in the report.
    """

    records: Path
    config: Path | None = None
    stages: Path | None = None
    curves: Path | None = None
    questions: Path | None = None
    coefficients: Path | None = None
    hallucination: Path | None = None
    command: str = ""


def publish(sources: Sources, out: Path) -> Report:
    """Write every file of the report; print its summary and the table over all questions.

    Raises:
        UserError: what the readers of the sources refuse; or `out` is no
            directory that can be written.
    """
    for directory in (out, out / "tables"):
        check_out_directory(directory)
    records = load_records(sources.records, lean=True)
    # A wrong parquet is found out before the metrics, which take minutes.
    examples = choose_examples(records)
    pictures = _pictures(sources.questions, examples)
    coefficients = _coefficients(sources.coefficients)
    found = read_hallucination(sources.hallucination) if sources.hallucination else NONE
    groups = by_model_and_protocol(records)
    report = _report(sources, records, groups)
    summary = summaries(report.models, report.comparisons)
    tables = _tables(report)

    write_json(out / "report.json", report.as_json())
    _write_tables(out / "tables", tables)
    figures = _draw(out, report, groups, coefficients)
    write_text(out / "report.md", render_report(report, summary, tables))
    write_text(
        out / "report.html",
        render_page(report, records, summary, tables, coefficients, examples, pictures, found),
    )
    print(render_summary(summary, tables, report.warnings.all()))
    written = ("report.html", "report.md", "report.json", *figures)
    print(f"report: {', '.join(str(out / name) for name in written)}")
    return report


def _report(sources: Sources, records: Sequence[AnswerRecord], groups: Groups) -> Report:
    # What is read from files first: a file that cannot be read is found out before the metrics.
    made = _provenance(sources)
    training = read_training(sources.curves) if sources.curves else {}
    stage_seconds = read_stage_seconds(sources.stages) if sources.stages else {}
    models, sliced = summarise_all(records)
    ratios = {protocol: ece_ratios(models, sliced, protocol) for protocol in protocols_of(models)}
    return Report(
        models=models,
        slices=sliced,
        claims=summarise_claims(records),
        ece_ratios=ratios,
        comparisons=tuple(compare_all(groups)),
        made=made,
        warnings=Warnings(
            asked_differently=tuple(differences(made.records)),
            left_out=tuple(left_out(sources.records)),
            cut_off=tuple(cut_off(records)),
            merged_by_sc=tuple(merged_by_sc(records)),
        ),
        training=training,
        stage_seconds=stage_seconds,
    )


def _provenance(sources: Sources) -> Provenance:
    config = read_mapping(sources.config) if sources.config else {}
    files = map(settings_path, sorted(sources.records.glob("*.jsonl")))
    settings = {path.name: read_mapping(path) for path in files if path.exists()}
    return Provenance(
        versions=versions(),
        seed=config.get("seed", _common_seed(settings)),
        command=sources.command,
        config=config,
        records=settings,
    )


def _common_seed(settings: Mapping[str, Mapping[str, Any]]) -> int | None:
    """The seed that all record files were made with, None if they differ or none is known."""
    seeds = {values["seed"] for values in settings.values() if "seed" in values}
    return seeds.pop() if len(seeds) == 1 else None


def _pictures(questions: Path | None, examples: Examples) -> dict[str, Picture]:
    wanted = {example.question_id for example in examples.shown}
    return read_pictures(questions, wanted) if questions else {}


def _coefficients(file: Path | None) -> dict[str, Coefficients]:
    if file is None:
        return {}
    try:
        return load_coefficients(file)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"--coefficients: {error}") from error


def _tables(report: Report) -> list[Table]:
    models, sliced = report.models, report.slices
    tables = [
        protocol_table(models, "ece"),
        protocol_table(models, "auroc"),
        overall_table(models),
        claim_table(report.claims),
        all_metrics_table(models),
        comparison_table(report.comparisons) if report.comparisons else None,
        ratio_table(report.ece_ratios),
        *paper_tables(sliced),
        *slice_tables(models, sliced),
        fixed_dynamic_table(fixed_and_dynamic(models, sliced)),
        training_table(report.training),
        stage_table(report.stage_seconds),
    ]
    return [table for table in tables if table is not None]


def _write_tables(directory: Path, tables: Sequence[Table]) -> None:
    for table in tables:
        for suffix in (".csv", ".tex", ".md"):
            write_text(directory / f"{table.name}{suffix}", render(table, suffix))


def _draw(
    out: Path,
    report: Report,
    groups: Groups,
    coefficients: Mapping[str, Coefficients],
) -> list[str]:
    """Write the figures that there is something for, each as PNG and SVG;
    names of the PNG files.
    """
    models, figures = report.models, []
    for protocol in protocols_of(models):
        answers = {
            name: by_protocol[protocol]
            for name, by_protocol in groups.items()
            if protocol in by_protocol
        }
        figures.append("reliability.png" if protocol == VERBAL else f"reliability_{protocol}.png")
        draw_reliability(
            out / figures[-1],
            answers,
            {model: models[model][protocol] for model in answers},
            protocol,
        )
    verbal = {name: {VERBAL: part[VERBAL]} for name, part in groups.items() if VERBAL in part}
    if verbal:
        figures.append("risk_coverage.png")
        draw_risk_coverage(out / figures[-1], verbal)
    if report.training:
        figures.append("training.png")
        draw_training(out / figures[-1], report.training)
    if courses := checkpoint_courses(models, report.slices):
        figures.append("checkpoints.png")
        draw_checkpoints(out / figures[-1], courses)
    if pairs := fixed_and_dynamic(models, report.slices):
        figures.append("fixed_dynamic.png")
        draw_fixed_and_dynamic(out / figures[-1], pairs)
    if coefficients:
        figures.append("coefficients.png")
        draw_coefficients(out / figures[-1], coefficients)
    return figures
