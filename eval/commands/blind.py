"""`python -m eval blind`: the same questions with and without the image that answers them."""

import argparse
from pathlib import Path

_DESCRIPTION = """\
Does the confidence fall when the image is gone? Compares records of the same
models and questions, made by

  python -m eval calibration ... --out PLAIN
  python -m eval calibration ... --out NONE --images none        (a grey image; also: other, noise)

by mean confidence, accuracy and ECE: plain, corrupted, and the paired
difference with its 95 % interval.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "blind",
        help="confidence with the question's image against that with none, another, or noise",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--plain", type=Path, required=True, metavar="DIR", help="records with the images as is"
    )
    parser.add_argument(
        "--corrupted",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="records made with --images none, other or noise",
    )
    parser.add_argument(
        "--protocols", nargs="+", metavar="NAME", help="only these (default: all in both)"
    )
    parser.add_argument(
        "--out", type=Path, help="file to write besides printing: .md, .csv or .tex"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the comparison, and write it if asked.

    Raises:
        UserError: see `blind.blind_tests`; or `--out` cannot be written.
    """
    from eval.comparison.blind import blind_table, blind_tests
    from eval.naming.out_paths import check_out_table
    from eval.tables.render import render
    from reward_fns.files import write_text

    check_out_table(arguments.out)
    tests = blind_tests(arguments.plain, arguments.corrupted, arguments.protocols)
    for test in tests:
        print(test.sentence())
    table = blind_table(tests)
    print(f"\n{render(table, '.md')}")
    if arguments.out:
        write_text(arguments.out, render(table, arguments.out.suffix))
