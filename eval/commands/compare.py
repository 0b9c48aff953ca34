"""`python -m eval compare`: two models on the same questions, or the same
models over several seeds.
"""

import argparse
from pathlib import Path

_DESCRIPTION = """\
Compare what was evaluated. One of:

  --records DIR [DIR ...]     models on the same questions: the difference of each pair with its
                              95 % interval, from a paired bootstrap (or the metric's own law), and
                              a verdict, adjusted for the number of pairs (Holm). Models of one name
                              in two directories are told apart by the directory's name.
  --reports FILE [FILE ...]   the same models in several runs (seeds): mean, lowest and highest
                              value. The files are report.json of `python -m eval report`.
"""
_METRICS = ("ece_debiased", "brier", "refinement", "auroc", "ece")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "compare",
        help="models on the same questions, or the same models over several seeds",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--records", type=Path, nargs="+", metavar="DIR", help="directories of record files"
    )
    what.add_argument("--reports", type=Path, nargs="+", metavar="FILE", help="report.json files")
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", help="with --records: only these (default: all)"
    )
    parser.add_argument(
        "--protocols", nargs="+", metavar="NAME", help="with --records: only these (default: all)"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=_METRICS,
        default=list(_METRICS),
        help="with --records (default: all)",
    )
    parser.add_argument(
        "--out", type=Path, help="file to write besides printing: .md, .csv or .tex"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the comparison, and write it if asked.

    Raises:
        UserError: a file is wrong, a model is unknown, or `--out` cannot be written.
    """
    from eval.comparison import comparison_table
    from eval.comparison.compare_records import compare_records
    from eval.naming.out_paths import check_out_table
    from eval.report.seeds import read_reports, seed_table
    from eval.tables.render import render, to_markdown
    from reward_fns.files import write_text

    check_out_table(arguments.out)
    if arguments.reports:
        table = seed_table(read_reports(arguments.reports))
    else:
        comparisons = compare_records(
            arguments.records, arguments.models, arguments.protocols, arguments.metrics
        )
        # A pair without a common answer says the same of every metric: once is enough.
        for sentence in dict.fromkeys(comparison.sentence() for comparison in comparisons):
            print(sentence)
        table = comparison_table(comparisons)
    print(f"# {table.title}\n\n{to_markdown(table)}")
    if arguments.out:
        write_text(arguments.out, render(table, arguments.out.suffix))
