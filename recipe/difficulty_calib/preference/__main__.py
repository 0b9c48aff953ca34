"""python -m recipe.difficulty_calib.preference METHOD --model MODEL --data FILE --out DIR."""

import argparse
import sys
from pathlib import Path

from reward_fns.errors import UserError

_PAIRED = ("dpo", "povid")
_RATES = {"dpo": 5e-6, "povid": 5e-6, "less_is_more": 1e-4, "sft": 1e-4}

_DESCRIPTION = """\
Train a LoRA adapter by one of the methods of the paper's Table 3.

  dpo           HA-DPO and RLAIF-V by their data, or DPO on stage one's own pairs
  povid         DPO with a second rejected answer: what the model says of the noised image
  less_is_more  SFT that never counts the end of sequence against the answer's next token
  sft           the same without that, to compare

--data: for dpo and povid a file of `python -m data_prep.preferences`, else sft.parquet of stage
one. The result is a model for any command as MODEL+DIR.
"""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    top = argparse.ArgumentParser(
        prog="python -m recipe.difficulty_calib.preference",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("method", choices=tuple(_RATES))
    top.add_argument("--model", required=True, help="directory, hub name, or BASE+ADAPTER")
    top.add_argument("--data", type=Path, required=True)
    top.add_argument("--out", type=Path, required=True, help="directory of the adapter")
    top.add_argument("--learning-rate", type=float, help="default: 5e-6, SFT 1e-4")
    top.add_argument("--beta", type=float, default=0.1)
    top.add_argument(
        "--sft-weight", type=float, default=0.0, help="of the better answer's cross-entropy"
    )
    top.add_argument("--noise-steps", type=int, default=500, help="of povid's image, 1 to 1,000")
    top.add_argument(
        "--keep",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="less_is_more, sft: filter the rows by EOS supervision; the paper's is 0.8",
    )
    top.add_argument("--epochs", type=float, default=1.0)
    top.add_argument("--steps", type=int, default=-1, help="updates, in place of --epochs")
    top.add_argument("--batch-size", type=int, default=8, help="examples a forward pass")
    top.add_argument("--accumulate", type=int, default=1, help="forward passes an update")
    top.add_argument("--rank", type=int, default=64)
    top.add_argument("--limit", type=int, help="only the first so many examples")
    top.add_argument("--seed", type=int, default=0)
    return top


def main() -> int:
    """Run the command line; a bad input is one line on stderr and exit code 1."""
    options = parser().parse_args()
    try:
        _train(options)
    except (UserError, ModuleNotFoundError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from its last checkpoint", file=sys.stderr)
        return 130
    return 0


def _train(options: argparse.Namespace) -> None:
    from recipe.difficulty_calib.preference.examples import preference_examples, sft_examples
    from recipe.difficulty_calib.preference.trainer import Settings, train

    settings = Settings(
        method=options.method,
        learning_rate=options.learning_rate or _RATES[options.method],
        beta=options.beta,
        sft_weight=options.sft_weight,
        noise_steps=options.noise_steps,
        keep=options.keep,
        epochs=options.epochs,
        steps=options.steps,
        batch_size=options.batch_size,
        accumulate=options.accumulate,
        rank=options.rank,
        seed=options.seed,
    )
    read = preference_examples if options.method in _PAIRED else sft_examples
    examples = read(options.data, options.limit)
    train(options.model, examples, options.out, settings)
    print(f"{options.out}: {options.method} on {len(examples)} examples of {options.data}")


if __name__ == "__main__":
    sys.exit(main())
