"""Command line of the pocket benchmark: python -m data_prep.pocket
{data,shifted,benchmarks,preferences,base,check} --help.
"""

import argparse
import sys
from pathlib import Path

SHIPPED = Path(__file__).parent / "base_model"


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    top = argparse.ArgumentParser(
        prog="python -m data_prep.pocket", description="the pocket benchmark"
    )
    commands = top.add_subparsers(dest="command", required=True)

    data = commands.add_parser(
        "data", help="draw the datasets: RL train, test, SFT and selection questions, manifest"
    )
    data.add_argument("--out", type=Path, required=True)
    data.add_argument("--seed", type=int, default=0)
    data.add_argument("--train", type=int, default=2000, help="RL questions in all")
    data.add_argument("--test", type=int, default=2000, help="test questions in all")
    data.add_argument("--sft", type=int, default=3000, help="SFT questions in all")
    data.add_argument(
        "--selection", type=int, default=300, help="questions to choose a checkpoint by"
    )

    shifted = commands.add_parser(
        "shifted", help="draw test sets unlike the training: degraded, printed, rare, wording"
    )
    shifted.add_argument("--out", type=Path, required=True)
    shifted.add_argument("--seed", type=int, default=0)
    shifted.add_argument("-n", type=int, default=2000, help="questions of each set")

    bench = commands.add_parser(
        "benchmarks", help="pocket versions of Object HalBench, MMHal-Bench and POPE"
    )
    bench.add_argument("--out", type=Path, required=True)
    bench.add_argument("--seed", type=int, default=0)
    bench.add_argument("-n", type=int, default=300, help="images of each benchmark, at least 6")

    pairs = commands.add_parser(
        "preferences", help="pocket versions of HA-DPO's and POVID's preference data"
    )
    pairs.add_argument("--out", type=Path, required=True)
    pairs.add_argument("--seed", type=int, default=0)
    pairs.add_argument("-n", type=int, default=2000, help="preferences of each")

    base = commands.add_parser("base", help="train the base model")
    base.add_argument("--out", type=Path, required=True)
    base.add_argument("--steps", type=int, default=1200, help="on answers")
    base.add_argument(
        "--vision-steps", type=int, default=1200, help="of the vision tower alone, before"
    )
    base.add_argument(
        "--verdict-steps", type=int, default=1200, help="on verdicts over proposed answers, after"
    )
    base.add_argument(
        "--start", type=Path, help="model directory: train the verdicts of this one only"
    )
    base.add_argument("--seed", type=int, default=0)
    base.add_argument("--threads", type=int, default=2)

    check = commands.add_parser(
        "check", help="measure a model's claim-format answers on test images"
    )
    check.add_argument("--model", type=Path, default=SHIPPED)
    check.add_argument("-n", type=int, default=400, help="questions for each dataset")
    check.add_argument("--seed", type=int, default=0)
    check.add_argument("--threads", type=int, default=2)
    check.add_argument("--json", action="store_true")
    return top


def run(options: argparse.Namespace) -> None:
    """Run one command. The imports are here so that drawing data does not wait for torch."""
    if options.command == "data":
        from data_prep.pocket import data

        counts = {
            "rl_train": options.train,
            "test": options.test,
            "sft_questions": options.sft,
            "selection": options.selection,
        }
        data.write(options.out, options.seed, counts)
        print(f"{options.out}: " + ", ".join(f"{file} {n}" for file, n in counts.items()))
    elif options.command == "shifted":
        from data_prep.pocket import shifted

        shifted.write(options.out, options.seed, options.n)
        print(f"{options.out}: {', '.join(shifted.SHIFTS)} of {options.n} questions each")
    elif options.command == "benchmarks":
        from data_prep.pocket import benchmarks

        benchmarks.write(options.out, options.seed, options.n)
        print(f"{options.out}: objhal, mmhal, pope of {options.n} images each")
    elif options.command == "preferences":
        from data_prep.pocket import preferences

        preferences.write(options.out, options.seed, options.n)
        print(f"{options.out}: ha_dpo, povid of {options.n} preferences each")
    elif options.command == "base":
        from data_prep.pocket import base

        base.train(
            options.out,
            options.steps,
            options.vision_steps,
            options.verdict_steps,
            options.seed,
            options.threads,
            options.start,
        )
    else:
        import torch

        from data_prep.pocket import check

        torch.set_num_threads(options.threads)
        table = check.measure(options.model, options.n, options.seed)
        print(check.as_json(table) if options.json else check.as_markdown(table))


def main() -> int:
    """Run the command line; a bad input is one line on stderr and exit code 1."""
    try:
        run(parser().parse_args())
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
