"""Commands: `python -m eval records | report | compare-seeds`."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reward_fns.errors import UserError


def _model_argument(text: str) -> tuple[str, str]:
    name, equals, spec = text.partition("=")
    if not equals or not spec or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SPEC with a name of letters, digits, _ and -")
    return name, spec


def _expert_argument(text: str) -> str | dict[str, Any]:
    try:
        return json.loads(text) if text.startswith("{") else text
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from error


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description="Evaluate the confidence of checkpoints.")
    commands = parser.add_subparsers(dest="command", required=True)

    records = commands.add_parser("records", help="ask models the questions and write their judged answers")
    records.add_argument(
        "--model",
        type=_model_argument,
        action="append",
        required=True,
        metavar="NAME=SPEC",
        help="a Hugging Face directory, or BASE+ADAPTER with a peft LoRA adapter; may be given several times",
    )
    records.add_argument("--questions", type=Path, required=True, help="parquet of questions (verl's form)")
    records.add_argument("--protocol", choices=["verbal"], default="verbal")
    records.add_argument("--out", type=Path, required=True, help="directory of the record files NAME.PROTOCOL.jsonl")
    records.add_argument("--temperature", type=float, default=1.0, help="1 samples as rollouts do (default); 0: greedy")
    records.add_argument("--max-tokens", type=int, default=64)
    records.add_argument("--seed", type=int, default=0)
    records.add_argument("--samples", type=_positive, default=1, help="answers a question, each a record of its own")
    records.add_argument(
        "--expert", type=_expert_argument, default="oracle", help='oracle, or JSON: {"kind": "openai", ...}'
    )
    records.add_argument("--limit", type=_positive, help="ask only the first so many questions of each dataset")

    report = commands.add_parser("report", help="metrics, tables and the reliability diagram from record files")
    report.add_argument("--records", type=Path, required=True, help="directory of record files")
    report.add_argument("--out", type=Path, required=True, help="directory for report.json, report.md, reliability.png")
    report.add_argument("--config", type=Path, help="JSON or YAML file of the run's settings, kept in report.json")
    report.add_argument("--stages", type=Path, help='directory of files {"stage": name, "seconds": float}')
    report.add_argument("--curves", type=Path, help="directory <model>/*.jsonl of verl's file logger: training curves")

    seeds = commands.add_parser("compare-seeds", help="mean and range over the reports of several seeds")
    seeds.add_argument("--report", type=Path, nargs="+", required=True, help="report.json files")
    seeds.add_argument("--out", type=Path, help="Markdown file to write besides printing")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    if arguments.command == "records":
        from eval.collect import collect
        from eval.verbal import Decoding

        specs = dict(arguments.model)
        if len(specs) < len(arguments.model):
            raise UserError("two --model options have the same name; give each model a name of its own")
        decoding = Decoding(arguments.temperature, arguments.max_tokens, arguments.seed, arguments.samples)
        collect(specs, arguments.questions, arguments.out, decoding, arguments.expert, arguments.limit)
    elif arguments.command == "report":
        from eval.publish import publish

        publish(arguments.records, arguments.out, arguments.config, arguments.stages, arguments.curves)
    else:
        from eval.publish import compare_seeds

        compare_seeds(arguments.report, arguments.out)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0, or 1 after one line `error: ...` for an input that the user has to mend."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
