"""`python -m eval hallucination`: MMHal-Bench, Object HalBench, POPE and AMBER for
any models (Table 3).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eval.commands.arguments import json_or_text, model_spec, positive

if TYPE_CHECKING:
    from eval.benchmarks.plan import Evaluation, Plan

_DESCRIPTION = """\
Ask models the questions of hallucination benchmarks, judge and score the answers, and write
Table 3 with the paper's numbers beside.

  objhal   Object HalBench: objects in descriptions against COCO's; what unsure claims are worth
  mmhal    MMHal-Bench: a rating of 0 to 6 by --judge
  pope     is an object in the image, random, popular, adversarial
  amber    descriptions against annotated objects, yes-or-no questions

A directory holds a benchmark's files as published: eval/benchmarks/README.md says where each
comes from. Pocket ones: python -m data_prep.pocket benchmarks --out DIR. Writes answers,
judgements, hallucination.json, a table each (.md, .csv, .tex) and operating_curve.png to OUT. Run
it again after a kill, or with more models or benchmarks: it asks only for what is missing, and
pays for no judgement twice.
"""


def _benchmark(text: str) -> tuple[str, Path]:
    kind, equals, directory = text.partition("=")
    if not equals or not directory:
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND=DIR, such as objhal=data/objhal")
    return kind, Path(directory)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "hallucination",
        help="MMHal-Bench, Object HalBench, POPE and AMBER: Table 3 for any models",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--models",
        type=model_spec,
        nargs="+",
        required=True,
        metavar="NAME=SPEC",
        help="as --model of `python -m eval calibration`; JSON may say how transformers decodes, "
        """{"model": DIR, "decoding": "vcd"} (eval/decoding/README.md); """
        "each is compared with the first",
    )
    parser.add_argument(
        "--benchmarks", type=_benchmark, nargs="+", required=True, metavar="KIND=DIR"
    )
    parser.add_argument("--out", type=Path, required=True, help="directory of all that is written")
    parser.add_argument(
        "--judge",
        type=json_or_text,
        metavar="EXPERT",
        help='of mmhal, JSON such as {"kind": "openai", "model": ...}; its verdicts are '
        "cached in OUT/verdicts",
    )
    parser.add_argument(
        "--objects",
        choices=["offline", "judge"],
        default="offline",
        help="who finds the objects of objhal (default: spaCy)",
    )
    parser.add_argument(
        "--views",
        nargs="+",
        choices=["raw", "asserted", "hedged"],
        default=["asserted"],
        help="claim-format answers as they are; without tags and numbers (default); with "
        "unsure claims as guesses",
    )
    parser.add_argument(
        "--prompt",
        choices=["claims", "plain"],
        help="with the claim format's instruction or without (default: claims, "
        "yes-or-no questions plain)",
    )
    parser.add_argument(
        "--unreadable",
        choices=["apart", "paper"],
        default="apart",
        help="an unreadable rating is counted apart (default), or as 0, as the "
        "publisher's script does",
    )
    parser.add_argument("--temperature", type=float, default=0.0, help="0: greedy (default)")
    parser.add_argument("--max-tokens", type=positive, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=positive, help="only the first so many questions of each")
    parser.add_argument("--replicas", type=positive, metavar="N", help="as of `calibration`")


def run(arguments: argparse.Namespace) -> None:
    """Ask, judge, score, print and write.

    Raises:
        UserError: see `plan.evaluate`; or a name stands twice.
    """
    from eval.asking.answers import Decoding
    from eval.benchmarks.plan import Plan, evaluate
    from reward_fns.errors import UserError

    models, benchmarks = dict(arguments.models), dict(arguments.benchmarks)
    if len(models) < len(arguments.models) or len(benchmarks) < len(arguments.benchmarks):
        raise UserError("a model or a benchmark stands twice; give each a name of its own")
    decoding = Decoding(arguments.temperature, arguments.max_tokens, arguments.seed)
    plan = Plan(
        benchmarks=benchmarks,
        out=arguments.out,
        decoding=decoding,
        judge=arguments.judge,
        objects_by_judge=arguments.objects == "judge",
        views=tuple(dict.fromkeys(arguments.views)),
        prompt=arguments.prompt,
        limit=arguments.limit,
        paper_unreadable=arguments.unreadable == "paper",
        replicas=arguments.replicas,
    )
    _write(evaluate(models, plan), plan)


def _write(found: "Evaluation", plan: "Plan") -> None:
    from eval.benchmarks.confidence_scores import finest_source
    from eval.benchmarks.plan import report_of
    from eval.benchmarks.tables import all_tables
    from eval.figures.operating_curve import draw_operating_curves
    from eval.tables.render import render
    from eval.tables.stored import write_tables
    from reward_fns.files import write_json, write_text

    write_json(plan.out / "hallucination.json", report_of(found, plan))
    tables = all_tables(found.models, found.pairs, found.differences, found.left_out)
    write_tables(plan.out / "tables.json", tables)
    for table in tables:
        print(render(table, ".md"))
        for suffix in (".md", ".csv", ".tex"):
            write_text(plan.out / f"{table.name}{suffix}", render(table, suffix))
    sources = {model: finest_source(one.confidence) for model, one in found.models.items()}
    curves = {
        model: found.models[model].confidence[source].curve
        for model, source in sources.items()
        if source is not None
    }
    if curves:
        draw_operating_curves(plan.out / "operating_curve.png", curves)
