"""Parts of `examples/gpu_check.sh`: python -m
recipe.difficulty_calib.gpu_check {model,...} --help.
"""

import argparse
import sys
from pathlib import Path

from reward_fns.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    top = argparse.ArgumentParser(prog="python -m recipe.difficulty_calib.gpu_check")
    commands = top.add_subparsers(dest="command", required=True)

    model = commands.add_parser("model", help="make a randomly initialised LLaVA")
    model.add_argument("--out", type=Path, required=True)
    model.add_argument("--shape", choices=("real", "tiny"), required=True)
    model.add_argument("--shipped", type=Path, required=True, help="the pocket model")
    model.add_argument("--processor", help="LLaVA-1.5's: directory, or name in the hub's cache")

    answers = commands.add_parser("answers", help="SFT rows from pocket questions")
    answers.add_argument("--questions", type=Path, required=True)
    answers.add_argument("--out", type=Path, required=True)

    memory = commands.add_parser("memory", help="sample the memory until a process is gone")
    memory.add_argument("--out", type=Path, required=True)
    memory.add_argument("--process", type=int, required=True)
    memory.add_argument("--card", help="index or UUID; without it the process's descendants")

    table = commands.add_parser("table", help="write and print what ran; exit code 1 if not all")
    table.add_argument("run", type=Path)
    table.add_argument("--sft-steps", type=int, required=True)
    table.add_argument("--grpo-steps", type=int, required=True)
    table.add_argument("--correlation", type=float, required=True, help="the lowest that is good")
    table.add_argument("--attention", required=True, help="what was asked for, to be shown")
    return top


def run(options: argparse.Namespace) -> int:
    """Run one command; its exit code. The imports are here so that sampling waits for no torch."""
    if options.command == "model":
        from recipe.difficulty_calib.gpu_check import model

        source = options.processor or model.HUB_NAME
        print(model.make(options.out, options.shape, options.shipped, source))
    elif options.command == "answers":
        from recipe.difficulty_calib.gpu_check import answers

        print(f"{options.out}: {answers.write(options.questions, options.out)} answers")
    elif options.command == "memory":
        from recipe.difficulty_calib.gpu_check import memory

        memory.watch(options.out, options.process, options.card)
    else:
        from recipe.difficulty_calib.gpu_check import table

        wanted = {
            "sft_steps": options.sft_steps,
            "grpo_steps": options.grpo_steps,
            "correlation": options.correlation,
            "attention": options.attention,
        }
        page, good = table.write(options.run, wanted)
        print(page)
        return 0 if good else 1
    return 0


def main() -> int:
    """Run the command line; a bad input is one line on stderr and exit code 1."""
    try:
        return run(parser().parse_args())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
