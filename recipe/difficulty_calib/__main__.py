"""What there is to run and where to go on: `python -m recipe.difficulty_calib`."""

import argparse
from collections.abc import Sequence

_TEXT = """\
The verl plugin. `bash examples/run_llava_grpo.sh` runs all of it; the parts:

commands, in the order of a run:
  python -m recipe.difficulty_calib.preflight     what is needed and what is here; --versions for
                                                  a report of a fault
  python -m recipe.difficulty_calib.sft --config-name pocket_sft ...
                                                  SFT, verl's own (number_brier: ours); on several
                                                  GPUs torchrun ... -m recipe.difficulty_calib.sft
  python -m recipe.difficulty_calib.export        verl's checkpoints to Hugging Face and peft
  python -m recipe.difficulty_calib.train --config-name pocket ...
                                                  GRPO; every Hydra key of verl may follow

besides:
  python -m recipe.difficulty_calib.preference    Table 3's methods: DPO, POVID, Less-is-more
  python -m recipe.difficulty_calib.cluster       waits until nodes have joined a Ray cluster
  python -m recipe.difficulty_calib.scale         what the 7B run needs, by arithmetic
  python -m recipe.difficulty_calib.patches.stock whether verl is what the patches were written for
  bash examples/gpu_check.sh                      every stage once, on a machine that is new

next: recipe/difficulty_calib/README.md has the settings; `python -m eval --help` what the
      checkpoints are worth
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what there is."""
    parser = argparse.ArgumentParser(
        prog="python -m recipe.difficulty_calib",
        description=_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    parser.print_help()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
