"""python -m data_prep.preferences {pairs,ha_dpo,povid,rlaif_v} FOLDER --out FILE."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from reward_fns.errors import UserError
from reward_fns.files import write_text

SOURCES = ("pairs", "ha_dpo", "povid", "rlaif_v")


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    top = argparse.ArgumentParser(
        prog="python -m data_prep.preferences",
        description="Better and worse answers as one parquet that the recipe, and TRL, train on.",
        epilog="Records that cannot be used are named in FILE.left_out.txt and counted.",
    )
    top.add_argument(
        "source", choices=SOURCES, help="pairs: of a run of stage one; else a published set"
    )
    top.add_argument("folder", type=Path, help="the run's directory, or the published files")
    top.add_argument("--images", type=Path, help="folder of the images (default: FOLDER)")
    top.add_argument("--seed", type=int, default=0, help="of HA-DPO's drawn wordings")
    top.add_argument("--out", type=Path, required=True, help="parquet file")
    return top


def main() -> int:
    """Run the command line; a bad input is one line on stderr and exit code 1."""
    options = parser().parse_args()
    try:
        print(_convert(options))
    except (UserError, ModuleNotFoundError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _convert(options: argparse.Namespace) -> str:
    from data_prep.preferences.pairs import write_pairs
    from data_prep.preferences.published import READERS
    from data_prep.preferences.stage_one import stage_one_pairs

    if options.source == "pairs":
        pairs = stage_one_pairs(options.folder)
    else:
        images = options.images or options.folder
        pairs = READERS[options.source](options.folder, images, options.seed)
    count, left_out = write_pairs(options.out, pairs)
    lines = [f"{one.place}: {one.reason}: {one.detail}\n" for one in left_out]
    write_text(options.out.with_name(f"{options.out.name}.left_out.txt"), "".join(lines))
    reasons = Counter(one.reason for one in left_out)
    return f"{options.out}: {count} preferences; left out: {dict(reasons) or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
