"""Paired comparisons from the record files of one or several directories."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eval.comparison import Comparison, compare_all
from eval.naming.model_names import ordered_models, ordered_protocols
from eval.records import AnswerRecord, load_records
from eval.records.chosen import by_model_and_protocol
from reward_fns.errors import UserError


def compare_records(
    directories: Sequence[Path],
    models: Sequence[str] | None,
    protocols: Sequence[str] | None,
    metrics: Sequence[str],
) -> list[Comparison]:
    """Every pair of models of the directories on their common questions; a pair
    without any says so (n = 0).

    Args:
        directories: of record files; a model that stands in two of them is
            named `<directory>:<model>`.
        models, protocols: only these, None for all; models by the names that
            this function gives them.
        metrics: names in `comparison.COMPARED`.

    Raises:
        UserError: what `records.load_records` refuses; an unknown model or protocol; fewer than
            two models; no pair that can be compared.
    """
    records = _named_apart(directories)
    there = ordered_models(record.model for record in records)
    _check("model", models, there)
    _check("protocol", protocols, ordered_protocols(record.protocol for record in records))
    chosen = [
        record
        for record in records
        if (models is None or record.model in models)
        and (protocols is None or record.protocol in protocols)
    ]
    groups = by_model_and_protocol(chosen)
    if len(groups) < 2:
        raise UserError(
            f"a comparison needs two models, and there is only {', '.join(groups)}: "
            "name another directory"
        )
    comparisons = compare_all(groups, metrics, with_checkpoints=True)
    if not comparisons:
        raise UserError("no two of these models were evaluated by the same protocol")
    if not any(comparison.n for comparison in comparisons):
        raise UserError(comparisons[0].phrase())
    return comparisons


def _check(kind: str, names: Sequence[str] | None, there: Sequence[str]) -> None:
    if unknown := [name for name in names or () if name not in there]:
        raise UserError(f"no {kind} {unknown[0]} in the records; there are {', '.join(there)}")


def _named_apart(directories: Sequence[Path]) -> list[AnswerRecord]:
    by_directory = [load_records(directory, lean=True) for directory in directories]
    names = [name for records in by_directory for name in {record.model for record in records}]
    twice = {name for name in names if names.count(name) > 1}
    return [
        replace(record, model=f"{label}:{record.model}") if record.model in twice else record
        for label, records in zip(_labels(directories), by_directory, strict=True)
        for record in records
    ]


def _labels(directories: Sequence[Path]) -> list[str]:
    """What tells the paths apart: their parts without those that all share at
    the start and at the end.

    >>> _labels([Path("outputs/seed0/records"), Path("outputs/seed1/records")])
    ['seed0', 'seed1']
    """
    parts = [list(directory.resolve().parts) for directory in directories]
    if len({tuple(path) for path in parts}) < len(parts):
        raise UserError("the same directory is given twice")
    for end in (0, -1):
        while all(len(path) > 1 for path in parts) and len({path[end] for path in parts}) == 1:
            for path in parts:
                path.pop(end)
    return ["/".join(path) for path in parts]
