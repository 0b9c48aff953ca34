"""`python -m eval fit-calibrator` and `posthoc`: fit a map of confidences, apply one, or
cross-fit by question.
"""

import argparse
from pathlib import Path

from reward_fns.posthoc import METHODS

_FIT = """\
Fit a post-hoc calibration on the records of questions that are kept for it, and write it as JSON.
Serving code applies it with reward_fns.posthoc.load_calibrator(FILE).apply(confidence).
"""
_POSTHOC = """\
Write records MODEL.PROTOCOL+METHOD.jsonl beside MODEL.PROTOCOL.jsonl: the same answers with
calibrated confidences, which `report` shows as a protocol of its own. One of:

  --calibrator FILE   of fit-calibrator; refused if it was fitted on one of these questions
  --folds K           for records without questions kept apart: each confidence by a map that was
                      fitted without its question
"""


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare both commands."""
    raw = argparse.RawDescriptionHelpFormatter
    fit = commands.add_parser(
        "fit-calibrator", help="fit a map of confidences", description=_FIT, formatter_class=raw
    )
    apply = commands.add_parser(
        "posthoc", help="calibrated confidences", description=_POSTHOC, formatter_class=raw
    )
    for parser in (fit, apply):
        parser.add_argument("--records", type=Path, required=True, metavar="DIR")
        parser.add_argument("--model", required=True, metavar="NAME")
        parser.add_argument("--protocol", required=True, metavar="NAME")
    fit.add_argument("--method", choices=METHODS, default="isotonic")
    fit.add_argument("--out", type=Path, required=True, metavar="FILE")
    how = apply.add_mutually_exclusive_group(required=True)
    how.add_argument("--calibrator", type=Path, metavar="FILE")
    how.add_argument("--folds", type=int, metavar="K")
    apply.add_argument("--method", choices=METHODS, default="isotonic", help="with --folds")
    apply.add_argument("--seed", type=int, default=0, help="with --folds: draws the parts")


def run_fit(arguments: argparse.Namespace) -> None:
    """Fit and write.

    Raises:
        UserError: no such records, or too few; or `--out` cannot be written.
    """
    from eval.naming.out_paths import check_out_file
    from eval.posthoc.fit import fit
    from eval.records import check_not_stale, read_records, records_path
    from reward_fns.files import write_json

    check_out_file(arguments.out)
    path = records_path(arguments.records, arguments.model, arguments.protocol)
    check_not_stale(path)
    about = {"model": arguments.model, "protocol": arguments.protocol}
    made = fit(arguments.method, read_records(path), about)
    content = {"method": made.method, "parameters": made.parameters, "fit": made.fit}
    write_json(arguments.out, content)
    print(f"{arguments.out}: {made.method} of {made.fit['n']} answers")


def run_posthoc(arguments: argparse.Namespace) -> None:
    """Write the calibrated records.

    Raises:
        UserError: no such records, a calibrator that saw them, or one of another protocol.
    """
    from eval.posthoc.apply import by_calibrator, cross_fitted
    from reward_fns.errors import UserError
    from reward_fns.posthoc import load_calibrator

    place = (arguments.records, arguments.model, arguments.protocol)
    if arguments.folds is not None:
        if arguments.folds < 2:
            raise UserError(f"--folds must be at least 2, got {arguments.folds}")
        print(cross_fitted(*place, arguments.method, arguments.folds, arguments.seed))
        return
    try:
        calibrator = load_calibrator(arguments.calibrator)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    print(by_calibrator(*place, calibrator))
