"""`python -m eval figure`: a figure of the paper from record files."""

import argparse
from pathlib import Path

_RELIABILITY = """\
Reliability diagrams (Figures 1 and 7): OUT/reliability_PROTOCOL_SLICE.png and .svg, a
panel a model. --by dataset subset gives a file for each dataset and subset; without --by
there is one, of all questions.
"""
_FIXED_DYNAMIC = """\
Fixed against dynamic coefficients (Figure 5): OUT/fixed_dynamic.png and .svg; the numbers are
printed. The records hold models NAME, trained with coefficients that depend on the dataset, and
NAME_fixed, trained with reward.custom_reward_function.reward_kwargs.coefficients=fixed.
"""
_CHECKPOINTS = """\
ECE over the checkpoints of a run (Figures 6 and 8): OUT/checkpoints.png and .svg. The records hold
models NAME@STEP of at least two steps, as from python -m eval calibration --model rl@30=CHECKPOINT
--model rl@60=CHECKPOINT.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser("figure", help="a figure of the paper from record files")
    figures = parser.add_subparsers(dest="figure", required=True)
    reliability = figures.add_parser(
        "reliability",
        help="Figures 1 and 7",
        description=_RELIABILITY,
        formatter_class=raw,
    )
    reliability.add_argument(
        "--by",
        nargs="+",
        choices=["dataset", "subset", "task"],
        default=[],
        help="a file for each combination of their values",
    )
    fixed = figures.add_parser(
        "fixed-dynamic", help="Figure 5", description=_FIXED_DYNAMIC, formatter_class=raw
    )
    checkpoints = figures.add_parser(
        "checkpoints", help="Figures 6 and 8", description=_CHECKPOINTS, formatter_class=raw
    )
    for one, default in ((reliability, ["verbal"]), (fixed, None), (checkpoints, ["verbal"])):
        one.add_argument("--records", type=Path, required=True, metavar="DIR")
        one.add_argument("--out", type=Path, required=True, metavar="DIR")
        shown = " ".join(default) if default else "all"
        one.add_argument(
            "--protocols",
            "--protocol",
            nargs="+",
            metavar="NAME",
            default=default,
            help=f"only these (default: {shown})",
        )
        one.add_argument("--models", nargs="+", metavar="NAME", help="only these (default: all)")


def run(arguments: argparse.Namespace) -> None:
    """Draw, and print the files' names.

    Raises:
        UserError: the records are wrong, `--out` is no directory, or the records hold
            nothing that the figure shows.
    """
    from eval.naming.out_paths import check_out_directory
    from eval.records.chosen import load_chosen

    check_out_directory(arguments.out)
    groups = load_chosen(arguments.records, arguments.protocols, arguments.models)
    if arguments.figure == "reliability":
        from eval.figures.reliability_by import draw_reliability_by

        for path in draw_reliability_by(arguments.out, groups, arguments.by):
            print(path)
        return
    from eval.numbers.summarise import summarise_all

    records = [r for protocols in groups.values() for part in protocols.values() for r in part]
    models, sliced = summarise_all(records)
    draw = _fixed_dynamic if arguments.figure == "fixed-dynamic" else _checkpoints
    print(draw(arguments.records, arguments.out, models, sliced))


def _fixed_dynamic(records: Path, out: Path, models: dict, sliced: dict) -> Path:
    from eval.figures.fixed_dynamic import (
        draw_fixed_and_dynamic,
        fixed_and_dynamic,
        fixed_dynamic_table,
    )
    from eval.tables.render import render
    from reward_fns.errors import UserError

    pairs = fixed_and_dynamic(models, sliced)
    table = fixed_dynamic_table(pairs)
    if table is None:
        raise UserError(
            f"{records} holds no pair of models NAME and NAME_fixed with a protocol in common, "
            f"there are {', '.join(models)}: evaluate both with `python -m eval calibration "
            "--model rl=... --model rl_fixed=...`"
        )
    print(render(table, ".md"))
    path = out / "fixed_dynamic.png"
    draw_fixed_and_dynamic(path, pairs)
    return path


def _checkpoints(records: Path, out: Path, models: dict, sliced: dict) -> Path:
    from eval.figures.checkpoints import checkpoint_courses, draw_checkpoints
    from reward_fns.errors import UserError

    courses = checkpoint_courses(models, sliced)
    if not courses:
        raise UserError(
            f"{records} holds no run with two checkpoints NAME@STEP, there are "
            f"{', '.join(models)}: evaluate them with `python -m eval calibration --model "
            "rl@30=CHECKPOINT --model rl@60=CHECKPOINT`"
        )
    path = out / "checkpoints.png"
    draw_checkpoints(path, courses)
    return path
