"""`python -m eval filter`: remove or mark the claims that an answer is not sure of."""

import argparse
from pathlib import Path
from typing import Any

_DESCRIPTION = """\
Remove or mark the claims below a confidence in every answer of a JSONL file, such as
MODEL.answers.jsonl or what `python -m eval hallucination` keeps. A line needs the field
`response`; P(sure) is read from `tag_probabilities`. Writes the same lines with the new
`response`, and `unsure_claims`. A threshold that suits: the operating curve of
`python -m eval hallucination`.
"""


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1, such as 0.5")
    return value


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "filter",
        help="remove or mark the claims that answers are not sure of",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--answers", type=Path, required=True, metavar="FILE", help="JSONL")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSONL to write")
    parser.add_argument("--threshold", type=_share, default=0.5, help="default 0.5")
    parser.add_argument("--action", choices=["remove", "mark"], default="remove")
    parser.add_argument(
        "--by",
        choices=["tag", "tag_probability", "stated"],
        default="tag",
        help="tag: sure or not (default); tag_probability: P(sure); stated: "
        "the answer's confidence",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the filtered answers.

    Raises:
        UserError: the file is missing, or a line has no response.
    """
    import json

    from eval.naming.out_paths import check_out_file
    from reward_fns.errors import UserError
    from reward_fns.files import read_jsonl, write_text

    check_out_file(arguments.out)
    if arguments.out.resolve() == arguments.answers.resolve():
        raise UserError("--out is the file of the answers: name another one")
    lines, claims, unsure, left = [], 0, 0, 0
    for number, record in enumerate(read_jsonl(arguments.answers), start=1):
        if not isinstance(record.get("response"), str):
            raise UserError(f"{arguments.answers} line {number} has no text `response`: add it")
        found = _filtered(record, arguments)
        claims, unsure, left = (
            claims + found.claims,
            unsure + found.unsure,
            left + (not found.filtered),
        )
        lines.append({**record, "response": found.response, "unsure_claims": found.unsure})
    write_text(
        arguments.out, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    )
    done = {"remove": "removed", "mark": "marked"}[arguments.action]
    print(
        f"{arguments.out}: {unsure} of {claims} claims {done} in {len(lines)} answers; "
        f"{left} answers are not in the claim format and stay as they are"
    )


def _filtered(record: dict[str, Any], arguments: argparse.Namespace) -> Any:
    from eval.benchmarks.filtering import filter_response

    return filter_response(
        record["response"],
        arguments.threshold,
        arguments.action,
        arguments.by,
        record.get("tag_probabilities") or (),
    )
