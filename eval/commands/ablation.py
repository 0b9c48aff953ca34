"""`python -m eval ablation`: each model beside the one it was trained from, over several seeds."""

import argparse
from pathlib import Path

_DESCRIPTION = """\
One table of models trained in steps, several seeds side by side: of each model and protocol ECE,
debiased ECE, AUROC, Brier, refinement, accuracy and what cannot be read; the paired difference from
the model that it starts from, with its 95 % interval; on how many seeds that holds.

  python -m eval ablation --records seed0=runs/0/records seed1=runs/1/records \\
      --models base sft=base rl=sft --out table.md table.csv

The CSV has unrounded values, a column a seed. examples/run_ablation.sh ends with this.
"""


def _seed(text: str) -> tuple[str, Path]:
    name, equals, directory = text.partition("=")
    if not name or not directory:
        raise argparse.ArgumentTypeError(f"{text!r} is not SEED=DIR, such as seed0=records")
    return name, Path(directory)


def _model(text: str) -> tuple[str, str]:
    name, _, start = text.partition("=")
    return name, start


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "ablation",
        help="models beside those they start from, seeds side by side",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--records", type=_seed, nargs="+", required=True, metavar="SEED=DIR", help="of each seed"
    )
    parser.add_argument(
        "--models",
        type=_model,
        nargs="+",
        required=True,
        metavar="MODEL[=START]",
        help="in the order of their rows, each with the one that it is held against",
    )
    parser.add_argument(
        "--out",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="files to write besides printing: .md or .csv",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the table, and write it if asked.

    Raises:
        UserError: see `ablation.ablation_lines`; two seeds or models of one name; or `--out`
            cannot be written.
    """
    from eval.comparison.ablation import ablation_lines, ablation_numbers, ablation_table
    from eval.naming.out_paths import check_out_table
    from eval.tables.render import render
    from reward_fns.errors import UserError
    from reward_fns.files import write_text

    for out in arguments.out:
        check_out_table(out)
    directories, starts = dict(arguments.records), dict(arguments.models)
    if len(directories) < len(arguments.records) or len(starts) < len(arguments.models):
        raise UserError("a seed or a model stands twice: name each once")
    lines = ablation_lines(directories, starts)
    table = ablation_table(lines)
    print(render(table, ".md"))
    for out in arguments.out:
        shown = ablation_numbers(lines) if out.suffix == ".csv" else table
        write_text(out, render(shown, out.suffix))
