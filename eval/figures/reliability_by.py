"""Reliability diagrams of slices (Figures 1 and 7 of the paper): a file a protocol and slice, a panel a model."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.figures.reliability import draw_reliability
from eval.records import AnswerRecord
from eval.report.numbers import POOLED, summarise
from reward_fns.errors import UserError

BY = ("dataset", "subset", "task")
_METRICS = ("ece", "auroc")  # in the panels' titles

ByModel = dict[str, list[AnswerRecord]]


def draw_reliability_by(
    out: Path, groups: Mapping[str, Mapping[str, Sequence[AnswerRecord]]], by: Sequence[str]
) -> list[Path]:
    """Write `reliability_PROTOCOL_SLICE.png` and `.svg` for each protocol and slice.

    Args:
        out: directory.
        groups: model -> protocol -> records.
        by: names of `BY`; with several a slice is a combination of their values, with none it is all questions.

    Returns:
        The PNG files.

    Raises:
        UserError: no record has a value of each of `by`, or two slices would have one file name.
    """
    drawn: dict[Path, str] = {}
    for (protocol, values), answers in _slices(groups, by).items():
        name = " / ".join(values) or "all questions pooled"
        stem = "_".join(map(_file_part, ("reliability", protocol, *values)))
        path = out / f"{stem}.png"
        if path in drawn:
            raise UserError(f"{drawn[path]} and {name} would both be {path.name}: rename one")
        drawn[path] = name
        cells = {model: {POOLED: summarise(part, _METRICS)} for model, part in answers.items()}
        draw_reliability(path, answers, cells, protocol, name)
    return list(drawn)


def _slices(
    groups: Mapping[str, Mapping[str, Sequence[AnswerRecord]]], by: Sequence[str]
) -> dict[tuple[str, tuple[str, ...]], ByModel]:
    """(protocol, values of `by`) -> model -> records; records that lack a value are in no slice."""
    found: dict[tuple[str, tuple[str, ...]], ByModel] = defaultdict(lambda: defaultdict(list))
    records = [r for protocols in groups.values() for part in protocols.values() for r in part]
    for record in records:
        values = tuple(str(getattr(record, name)) for name in by)
        if all(values):
            found[record.protocol, values][record.model].append(record)
    if not found:
        missing = next(name for name in by if not any(getattr(r, name) for r in records))
        raise UserError(
            f"no record has a {missing}: leave it out of --by (stage one gives subsets)"
        )
    return {key: dict(answers) for key, answers in sorted(found.items())}


def _file_part(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-.+" else "_" for c in text)
