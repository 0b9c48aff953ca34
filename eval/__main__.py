"""Commands: `python -m eval --help` lists them."""

import argparse
import sqlite3
import sys
from collections.abc import Sequence

from eval.commands import (
    ablation,
    blind,
    calibration,
    compare,
    figure,
    filter_claims,
    hallucination,
    posthoc,
    report,
    selective,
)
from reward_fns.errors import UserError

INTERRUPTED = 130
"""What a shell calls a command that Ctrl-C ended."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval",
        description="Evaluate the confidence of checkpoints: first `calibration`, which asks the "
        "models and writes records, then `report` or any other command, which read them.",
        epilog="Each command has its own --help. What they show: eval/README.md",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    calibration.add_parser(commands)
    report.add_parser(commands)
    compare.add_parser(commands)
    ablation.add_parser(commands)
    posthoc.add_parsers(commands)
    selective.add_parser(commands)
    blind.add_parser(commands)
    figure.add_parser(commands)
    filter_claims.add_parser(commands)
    hallucination.add_parser(commands)
    return parser


def _run(arguments: argparse.Namespace) -> None:
    {
        "calibration": calibration.run,
        "report": report.run,
        "compare": compare.run,
        "ablation": ablation.run,
        "fit-calibrator": posthoc.run_fit,
        "posthoc": posthoc.run_posthoc,
        "selective": selective.run,
        "blind": blind.run,
        "figure": figure.run,
        "filter": filter_claims.run,
        "hallucination": hallucination.run,
    }[arguments.command](arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0, or 1 after one line `error: ...` for an input that the user has to mend."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error) as error:  # a full disk, also under the expert's cache
        print(
            f"error: {error}: what is done stays; run the same command again when it is mended",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
