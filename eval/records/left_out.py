"""Answers that the expert never gives a verdict on: left out, named and counted,
where the user lets them be.

A content filter refuses the same answer each time: waiting for its verdict would hold an evaluation
up for ever. Such answers may be left out as long as the share that is judged stays at or above
`--coverage`. They stand in `MODEL.left_out.json` beside the answers, and each report counts them.
A failure that passes (a server that is down, a spent budget) is none of these: the next run asks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.naming.model_names import model_title
from eval.records.files import ANSWERS
from eval.records.record import answer_key
from reward_fns.errors import UserError
from reward_fns.files import read_mapping, write_json

LASTING = (
    *("content_filter", "refusal", "refused", "unreadable", "length", "image"),
    *("not recorded", "other"),
)
"""Reasons of the expert layer for which asking again brings no verdict either."""
_SUFFIX = ".left_out.json"


def left_out_path(answers: Path) -> Path:
    """Where the answers that a file of answers lacks are named."""
    return answers.with_name(answers.name.removesuffix(f".{ANSWERS}.jsonl") + _SUFFIX)


def read_left_out(answers: Path, n_answers: int, coverage: float) -> list[dict[str, Any]]:
    """What was left out before, if no more than may be left out now; else [], to be asked again.

    Args:
        n_answers: how many there are in all.
        coverage: share of them that must be judged, in (0, 1].
    """
    path = left_out_path(answers)
    if not path.exists():
        return []
    entries = _entries(path)
    return entries if is_enough(n_answers - len(entries), n_answers, coverage) else []


def is_enough(n_judged: int, n_answers: int, coverage: float) -> bool:
    """Whether so many of the answers are `coverage` of them."""
    return n_judged >= coverage * n_answers - 1e-9


def keys_of(entries: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names of the answers, as `records.answer_key`."""
    return {answer_key(entry["question_id"], entry["sample"]) for entry in entries}


def write_left_out(
    answers: Path, model: str, n_answers: int, entries: Sequence[Mapping[str, Any]]
) -> None:
    """Name what is left out, and say how much; without any, no file stays."""
    path = left_out_path(answers)
    if not entries:
        path.unlink(missing_ok=True)
        return
    content = {"model": model, "n_answers": n_answers, "reasons": _reasons(entries)}
    write_json(path, {**content, "left_out": list(entries)})
    print(f"{path}: {_counted(content, len(entries))}")


def left_out(directory: Path) -> list[str]:
    """A sentence for each model some of whose answers were left out."""
    sentences = []
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        entries = _entries(path)
        content = read_mapping(path)
        sentences.append(f"{model_title(content['model'])}: {_counted(content, len(entries))}.")
    return sentences


def _counted(content: Mapping[str, Any], n: int) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in content["reasons"].items())
    return f"{n} of {content['n_answers']} answers are left out, without a verdict ({reasons})"


def _reasons(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return dict(Counter(str(entry["reason"]) for entry in entries).most_common())


def _entries(path: Path) -> list[dict[str, Any]]:
    content = read_mapping(path)
    entries: Any = content.get("left_out")
    whole = isinstance(entries, list) and {"model", "n_answers", "reasons"} <= content.keys()
    if not whole or any(not {"question_id", "sample"} <= set(entry) for entry in entries):
        raise UserError(f"{path} names no answers that were left out: remove it")
    return list(entries)
