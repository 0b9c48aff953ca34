"""Command line of stage one: python -m data_prep {run,STEP} CONFIG --out RUN [key=value ...]."""

import argparse
import sqlite3
import sys
from pathlib import Path

from reward_fns.errors import UserError

INTERRUPTED = 130
"""What a shell calls a command that Ctrl-C ended."""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    from data_prep.pipeline.step_table import STEPS

    top = argparse.ArgumentParser(
        prog="python -m data_prep",
        description="From questions about images to difficulty, labelled pairs, SFT "
        "data and verl parquet.",
        epilog="Killed or failed: the same command goes on where it stopped. Other commands: "
        "`python -m data_prep.pocket` (the pocket benchmark's files), `python -m "
        "data_prep.preferences` (published preference sets as rows), `python -m "
        "data_prep.expected` (SFT on the mean of the model's own numbers). Next: `DATA=RUN bash "
        "examples/run_llava_grpo.sh` trains on what is in --out RUN; data_prep/README.md has the "
        "configuration.",
    )
    top.add_argument(
        "step", choices=("run", *STEPS), help="run: every step; a step's name: it and what it needs"
    )
    top.add_argument("config", type=Path, help="YAML, as in data_prep/configs")
    top.add_argument("--out", type=Path, required=True, help="directory of the run")
    top.add_argument(
        "overrides", nargs="*", metavar="key=value", help="over the configuration, e.g. sample.n=5"
    )
    return top


def main() -> int:
    """Run the command line; a bad input is one line on stderr and exit code 1."""
    try:
        # Late: a library that is not installed is one line too.
        from data_prep.pipeline.config import load_config
        from data_prep.pipeline.runner import run_steps
        from data_prep.pipeline.step_table import STEPS, ancestors

        options = parser().parse_intermixed_args()

        config = load_config(options.config, options.overrides)
        names = list(STEPS) if options.step == "run" else ancestors(options.step)
        print(run_steps(config, options.out, names))
    except (UserError, ModuleNotFoundError) as error:
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
