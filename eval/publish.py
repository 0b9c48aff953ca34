"""Write the report: report.json, report.md and its figures from records and training logs; compare several reports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.diagram import draw_reliability
from eval.records import VERBAL, settings_path
from eval.report import (
    ESTIMATOR,
    PAPER_VERBAL_RATIOS,
    by_model_and_protocol,
    ece_ratios,
    load_records,
    summarise_all,
)
from eval.stages import read_stage_seconds
from eval.tables import render_report, render_seed_comparison
from eval.training import read_training
from eval.training_figure import draw_training
from eval.versions import versions
from reward_fns.errors import UserError
from reward_fns.files import read_mapping, write_json, write_text


def publish(
    records_directory: Path, out: Path, config_file: Path | None, stages: Path | None, curves: Path | None
) -> None:
    """Write report.json, report.md, reliability.png and, if there are curves, training.png; print the tables.

    Raises:
        UserError: see `report.load_records`, `jsonfile` and `training.read_training`.
    """
    records = load_records(records_directory)
    config = read_mapping(config_file) if config_file else {}
    settings = {path.name: read_mapping(path) for path in _settings_files(records_directory)}
    models = summarise_all(records)
    protocols = sorted({record.protocol for record in records})
    report: dict[str, Any] = {
        "models": models,
        "ece_ratios": {protocol: ece_ratios(models, protocol) for protocol in protocols},
        "paper": {"verbal_ece_ratios": PAPER_VERBAL_RATIOS},
        "estimator": ESTIMATOR,
        "versions": versions(),
        "seed": config.get("seed", _common_seed(settings)),
        "config": config,
        "records": settings,
        "training": read_training(curves) if curves else {},
        "stage_seconds": read_stage_seconds(stages) if stages else {},
    }
    write_json(out / "report.json", report)
    markdown = render_report(report)
    write_text(out / "report.md", markdown)
    groups = by_model_and_protocol(records)
    for protocol in protocols:
        answers = {name: by_protocol[protocol] for name, by_protocol in groups.items() if protocol in by_protocol}
        name = "reliability.png" if protocol == VERBAL else f"reliability_{protocol}.png"
        draw_reliability(out / name, answers, {model: models[model][protocol] for model in answers}, protocol)
    written = [out / name for name in ("report.json", "report.md", "reliability.png")]
    if report["training"]:
        written.append(out / "training.png")
        draw_training(written[-1], report["training"])
    print(markdown)
    print(f"report: {', '.join(map(str, written))}")


def _settings_files(directory: Path) -> list[Path]:
    return [path for path in map(settings_path, sorted(directory.glob("*.jsonl"))) if path.exists()]


def _common_seed(settings: Mapping[str, Mapping[str, Any]]) -> int | None:
    """The seed that all record files were made with, None if they differ or none is known."""
    seeds = {values.get("seed") for values in settings.values()}
    return seeds.pop() if len(seeds) == 1 else None


def compare_seeds(reports: Sequence[Path], out: Path | None) -> None:
    """Print, and write if asked, mean and range of the pooled Verbal values over reports.

    Raises:
        UserError: a file is no report.
    """
    contents = [read_mapping(path) for path in reports]
    for path, content in zip(reports, contents, strict=True):
        if not {"models", "ece_ratios"} <= content.keys():
            raise UserError(f"{path} is no report: make it with `python -m eval report`")
    text = render_seed_comparison(contents, VERBAL)
    if out:
        write_text(out, text)
    print(text)
