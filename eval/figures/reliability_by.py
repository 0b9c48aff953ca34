"""Reliability diagrams of slices (Figures 1 and 7 of the paper): a file a protocol and
slice, a panel a model.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eval.figures.reliability import draw_reliability
from eval.naming.file_stems import file_stem
from eval.numbers.summarise import POOLED, summarise
from eval.records import AnswerRecord
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
        by: names of `BY`; with several a slice is a combination of their values, with
            none it is all questions.

    Returns:
        The PNG files.

    Raises:
        UserError: no record has a value of each of `by`, or two slices would have one file name.
    """
    found = _slices(groups, by)
    paths = _paths(out, found)
    for key, answers in found.items():
        protocol, values = key
        cells = {model: {POOLED: summarise(part, _METRICS)} for model, part in answers.items()}
        draw_reliability(paths[key], answers, cells, protocol, _title(values))
    return list(paths.values())


_Slice = tuple[str, tuple[str, ...]]
"""A protocol and the values of `by`."""


def _title(values: Sequence[str]) -> str:
    return " / ".join(values) or "all questions pooled"


def _paths(out: Path, found: Iterable[_Slice]) -> dict[_Slice, Path]:
    """Of each slice's PNG file; raises UserError for two of one name."""
    paths: dict[_Slice, Path] = {}
    slice_of: dict[Path, _Slice] = {}
    for protocol, values in found:
        stem = "_".join(map(file_stem, ("reliability", protocol, *values)))
        path = paths[protocol, values] = out / f"{stem}.png"
        other = slice_of.setdefault(path, (protocol, values))
        if other != (protocol, values):
            raise UserError(
                f"{_title(other[1])} and {_title(values)} would both be {path.name}: rename one"
            )
    return paths


def _slices(
    groups: Mapping[str, Mapping[str, Sequence[AnswerRecord]]], by: Sequence[str]
) -> dict[_Slice, ByModel]:
    """(protocol, values of `by`) -> model -> records; records that lack a value are in no slice."""
    found: dict[_Slice, ByModel] = defaultdict(lambda: defaultdict(list))
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
