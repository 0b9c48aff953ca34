"""`python -m eval report`: from record files to the report."""

import argparse
import shlex
import sys
from pathlib import Path

_DESCRIPTION = """\
Make the report of an evaluation from its record files, without asking any model:

  OUT/report.html   one file to read, send or print: verdicts, reliability diagrams, tables,
                    example answers, provenance
  OUT/report.md     the same in short; also printed
  OUT/report.json   every number
  OUT/tables/       each table as CSV, LaTeX and Markdown
  OUT/*.png, *.svg  the figures
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        help="tables, figures and one HTML page from record files",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--records",
        type=Path,
        required=True,
        help="directory that `python -m eval calibration` wrote",
    )
    parser.add_argument("--out", type=Path, required=True, help="directory of the report's files")
    parser.add_argument(
        "--questions",
        type=Path,
        help="the parquet that was asked: shows the images of the example answers",
    )
    parser.add_argument(
        "--config", type=Path, help="JSON or YAML file of the run's settings, kept in the report"
    )
    parser.add_argument(
        "--stages", type=Path, help='directory of files {"stage": name, "seconds": float}'
    )
    parser.add_argument(
        "--curves",
        type=Path,
        help="directory <model>/*.jsonl of verl's file logger: training curves",
    )
    parser.add_argument(
        "--coefficients",
        type=Path,
        help="YAML file of the reward's coefficients by dataset: shown beside the paper's",
    )
    parser.add_argument(
        "--hallucination",
        type=Path,
        help="directory that `python -m eval hallucination` wrote: its tables "
        "and curves on the page",
    )
    parser.add_argument(
        "--track",
        nargs="+",
        choices=["wandb", "tensorboard", "mlflow"],
        default=[],
        metavar="TRACKER",
        help="send the numbers to wandb, tensorboard or mlflow as well, through their own packages",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the report. Raises UserError, see `publish.publish`."""
    from eval.report.publish import Sources, publish

    sources = Sources(
        records=arguments.records,
        config=arguments.config,
        stages=arguments.stages,
        curves=arguments.curves,
        questions=arguments.questions,
        coefficients=arguments.coefficients,
        hallucination=arguments.hallucination,
        command=shlex.join(["python", "-m", "eval", *sys.argv[1:]]),
    )
    report = publish(sources, arguments.out)
    if arguments.track:
        from eval.report.trackers import track

        track(report, arguments.track, arguments.out)
