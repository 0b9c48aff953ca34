"""`python -m eval selective`: trust the confident answers, choose a
threshold, vote by confidence.
"""

import argparse
from pathlib import Path

_DESCRIPTION = """\
What a user does with a confidence, for each model and protocol of a directory of records:

  accuracy when only the most confident 100, 90, 80 and 50 % of the answers are trusted, and AURC
  a threshold for a wanted accuracy: shown on one half of the questions, reported on the other
  with several answers a question (calibration --samples K):
  majority against confidence-weighted vote

--out NAME.csv writes the table, NAME_vote.csv where there are votes, and the
figure NAME.png and NAME.svg.
"""


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1, such as 0.9")
    return value


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "selective",
        help="accuracy of the confident answers, a threshold for a wanted accuracy, votes",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--records", type=Path, required=True, metavar="DIR", help="directory of record files"
    )
    parser.add_argument(
        "--protocols",
        "--protocol",
        nargs="+",
        metavar="NAME",
        help="only these (default: all)",
    )
    parser.add_argument(
        "--accuracy",
        type=_share,
        default=0.9,
        help="that the threshold is to reach (default 0.9)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="table to write besides printing: .md, .csv or .tex; the figure goes beside it",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the tables; write them and the figure if asked.

    Raises:
        UserError: the records are wrong, none is by the protocol, or `--out` cannot be written.
    """
    from eval.figures.risk_coverage import draw_risk_coverage
    from eval.naming.out_paths import check_out_table
    from eval.numbers.selective import selective
    from eval.numbers.vote import votes
    from eval.records.chosen import load_chosen
    from eval.tables.render import render
    from eval.tables.selective_tables import selective_table, vote_table
    from reward_fns.files import write_text

    out = arguments.out
    check_out_table(out)
    groups = load_chosen(arguments.records, arguments.protocols)
    parts = [part for protocols in groups.values() for part in protocols.values()]
    tables = {"": selective_table([selective(part, arguments.accuracy) for part in parts])}
    if found := [vote for part in parts for vote in votes(part)]:
        tables["_vote"] = vote_table(found)
    for table in tables.values():
        print(render(table, ".md"))
    if not out:
        return
    for suffix, table in tables.items():
        write_text(out.with_stem(out.stem + suffix), render(table, out.suffix))
    draw_risk_coverage(out.with_suffix(".png"), groups)
