"""`python -m eval calibration`: from models and questions to record files."""

import argparse
from pathlib import Path

from eval.commands.arguments import json_or_text, model_spec, positive, share
from reward_fns.errors import UserError

_DESCRIPTION = """\
Ask models the questions of a parquet, judge the answers, and get the confidence in each
answer by each protocol:

  dp            probability of the answer's last token     (dp_answer: of what it
                says, without tags and number; dp_end: of its end; dp_sequence: of the whole answer)
  sc            agreement of --sc-samples sampled answers (sc_own: with this answer;
                semantic_entropy: how many different things they say)
  pcr           probability of Yes and True when asked whether the answer is right, in three ways
  verbal        the confidence that the answer itself states (verbal_asked: when asked for it;
                verbal_expected: the mean over what it might have stated; tags: by its tags alone)
  vcap          two rounds: what the model sees, then whether the answer fits it

Writes OUT/NAME.answers.jsonl and OUT/NAME.PROTOCOL.jsonl. Run it again after a kill, or with
more protocols or models: it asks only for what is missing. Then:

  python -m eval report --records OUT --out REPORT
"""
_SPEC = """\
a Hugging Face directory; BASE+ADAPTER with a peft LoRA adapter; a verl checkpoint; or JSON
such as {"kind": "openai", "model": ..., "base_url": ...}. NAME@STEP names a checkpoint of a
run. May be given several times"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands."""
    parser = commands.add_parser(
        "calibration",
        help="ask models the questions: judged answers, and confidences by each protocol",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", type=model_spec, action="append", required=True, metavar="NAME=SPEC", help=_SPEC
    )
    parser.add_argument(
        "--questions", type=Path, required=True, help="parquet of questions (verl's form)"
    )
    parser.add_argument("--out", type=Path, required=True, help="directory of the record files")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="1 samples as rollouts do (default); 0: greedy",
    )
    parser.add_argument(
        "--max-tokens", type=positive, default=64, help="of an answer, and of VCAP's description"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--samples", type=positive, default=1, help="answers a question, each a record of its own"
    )
    parser.add_argument(
        "--expert",
        type=json_or_text,
        default="oracle",
        help='who judges: oracle, or JSON: {"kind": "openai", ...}',
    )
    parser.add_argument(
        "--coverage",
        type=share,
        default=1.0,
        metavar="SHARE",
        help="share of the answers that must be judged (default 1.0): the others, which the "
        "expert refuses each time, are left out, named in OUT/NAME.left_out.json and "
        "counted in the report",
    )
    parser.add_argument(
        "--limit", type=positive, help="ask only the first so many questions of each dataset"
    )
    parser.add_argument(
        "--protocols",
        nargs="+",
        metavar="PROTOCOL",
        help="see above; default: dp sc pcr verbal vcap",
    )
    parser.add_argument(
        "--sc-samples",
        type=positive,
        default=10,
        help="k of sc, sc_own and semantic_entropy (default 10)",
    )
    parser.add_argument(
        "--equivalence",
        default="text",
        metavar="text|expert|MODEL",
        help="when two samples say the same, for sc_own and semantic_entropy: by normalised text "
        "(default, for answers of one short claim), or by entailment both ways: of the "
        "expert, or of an NLI cross-encoder",
    )
    parser.add_argument(
        "--correctness",
        choices=["expert", "dataset"],
        default="expert",
        help="dataset: VQA accuracy or exact match where the dataset has that rule, "
        "the expert elsewhere",
    )
    parser.add_argument(
        "--thinking",
        nargs=2,
        metavar=("OPEN", "CLOSE"),
        help="tags of a thinking block that stands before the answer, as in the "
        "reward's option of that name",
    )
    parser.add_argument(
        "--images",
        choices=["as_is", "none", "other", "noise"],
        default="as_is",
        help="what the model is shown in place of the image: none (grey, of the same "
        "size, since many models need an image), another question's, or noise; see "
        "`python -m eval blind`",
    )
    parser.add_argument(
        "--decoding",
        metavar="vcd|opera[:NAME=VALUE,...]",
        help="decode by a method against hallucination, with transformers: "
        "vcd:alpha=1,beta=0.1,steps=500, or opera:beams=5,alpha=1 with --temperature 0; "
        "see eval/decoding/README.md",
    )
    parser.add_argument(
        "--replicas",
        type=positive,
        metavar="N",
        help="copies of each model that vLLM loads, through Ray Data (default: one a visible "
        "GPU; one without a GPU)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the record files. Raises UserError, see `calibration.calibrate`."""
    from eval.asking.answers import Decoding
    from eval.asking.make_records import Plan, calibrate
    from eval.decoding import MethodByName
    from eval.protocols import DEFAULT, PROTOCOLS

    models = dict(arguments.model)
    if len(models) < len(arguments.model):
        raise UserError("two --model options have the same name; give each model a name of its own")
    decoding = Decoding(
        arguments.temperature, arguments.max_tokens, arguments.seed, arguments.samples
    )
    protocols = tuple(dict.fromkeys(arguments.protocols or DEFAULT))
    if unknown := [name for name in protocols if name not in PROTOCOLS]:
        raise UserError(f"no protocol {unknown[0]!r}; there are {', '.join(PROTOCOLS)}")
    calibrate(
        models,
        Plan(
            questions=arguments.questions,
            out=arguments.out,
            protocols=protocols,
            decoding=decoding,
            expert=arguments.expert,
            correctness=arguments.correctness,
            sc_samples=arguments.sc_samples,
            equivalence=arguments.equivalence,
            limit=arguments.limit,
            thinking=arguments.thinking and tuple(arguments.thinking),
            images=arguments.images,
            replicas=arguments.replicas,
            coverage=arguments.coverage,
            method=MethodByName(arguments.decoding) if arguments.decoding else None,
        ),
    )
