"""Each model beside the one that it was trained from, by protocol, seeds side by side.

A directory of records is a seed, and holds some of the models. Values are of all answers whose
confidence can be read; a difference is the model's value minus its start's on the questions on
which both can (the package's text), no p-value adjusted. A post-hoc protocol (`pcr+isotonic`) is
held against the same model's own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.comparison.paired import compare_columns
from eval.comparison.verdict import TITLES, Comparison, sign_of
from eval.metrics import estimate_value
from eval.naming.model_names import ordered_protocols, protocol_title
from eval.numbers.cores import on_both_cores
from eval.numbers.values import Interval
from eval.records import load_records
from eval.records.chosen import by_model_and_protocol
from eval.records.columns import Columns, columns
from eval.tables.metric_columns import ESTIMATOR_NOTES, metric_column
from eval.tables.table import Cell, Column, Table, known, show
from reward_fns.errors import UserError

VALUES = ("ece", "ece_debiased", "auroc", "brier", "refinement")
DIFFERENCES = ("ece_debiased", "brier", "auroc")
_FIRST = "verbal"
"""Stands before the other protocols: every model has it."""
_SIGNED = Column("", signed=True)
_UNDECIDED = "?"


@dataclass(frozen=True)
class Numbers:
    """Of one model, protocol and seed.

    Attributes:
        n: all answers; readable: those among them whose confidence can be read.
        values: metric of `VALUES` -> value, NaN where undefined.
        differences: metric of `DIFFERENCES` -> comparison with the start; {} without one.
    """

    n: int
    readable: int
    accuracy: float
    values: Mapping[str, float]
    differences: Mapping[str, Comparison] = field(default_factory=dict)

    @property
    def unreadable(self) -> float:
        """Share of the answers."""
        return 1 - self.readable / self.n


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        start: what it is held against; "" for a model that none stands before.
        seeds: name of a seed -> its numbers, of those that there are.
    """

    protocol: str
    model: str
    start: str
    seeds: Mapping[str, Numbers]


def ablation_lines(directories: Mapping[str, Path], starts: Mapping[str, str]) -> list[Line]:
    """A line a protocol and model, Verbal first.

    Args:
        directories: name of a seed -> its records.
        starts: model -> the one that it is held against, "" for none; in the order of the rows.

    Raises:
        UserError: what `records.load_records` refuses; a start that is no model of these, or a
            model that no directory holds.
    """
    if unknown := [start for start in starts.values() if start and start not in starts]:
        raise UserError(f"{unknown[0]} is a start and no model of the table: name it too")
    found: dict[tuple[str, str], dict[str, Numbers]] = {}
    for seed, directory in directories.items():
        for key, numbers in _numbers_of(directory, starts).items():
            found.setdefault(key, {})[seed] = numbers
    there = {model for _, model in found}
    if missing := [model for model in starts if model not in there]:
        raise UserError(
            f"no records of {missing[0]} in {', '.join(map(str, directories.values()))}: make "
            "them with `python -m eval calibration`"
        )
    protocols = sorted(
        ordered_protocols(protocol for protocol, _ in found), key=lambda name: name != _FIRST
    )
    return [
        Line(protocol, model, _start_of(model, protocol, start), found[protocol, model])
        for protocol in protocols
        for model, start in starts.items()
        if (protocol, model) in found
    ]


def _start_of(model: str, protocol: str, start: str) -> str:
    raw, plus, _ = protocol.partition("+")
    return f"{model}, {protocol_title(raw)}" if plus else start


_Work = tuple[Columns, Columns | None]


def _numbers_of(directory: Path, starts: Mapping[str, str]) -> dict[tuple[str, str], Numbers]:
    """(protocol, model) -> numbers, of one seed."""
    records = [one for one in load_records(directory, lean=True) if one.model in starts]
    answers = {
        (protocol, model): columns(part)
        for model, protocols in by_model_and_protocol(records).items()
        for protocol, part in protocols.items()
    }
    work: list[_Work] = []
    for protocol, model in answers:
        raw, plus, _ = protocol.partition("+")
        start = (raw, model) if plus else (protocol, starts[model])
        work.append((answers[protocol, model], answers.get(start)))
    with on_both_cores(sum(own.key.size for own, _ in work)) as run:
        return dict(zip(answers, run(_numbers, work), strict=True))


def _numbers(work: _Work) -> Numbers:
    own, start = work
    read = own.take(own.readable)
    given = (read.confidence, read.correct, read.question)
    compared = [] if start is None else compare_columns(own, start, DIFFERENCES)
    return Numbers(
        n=own.key.size,
        readable=read.key.size,
        accuracy=float(own.correct.mean()),
        values={
            name: estimate_value(name, *given) if read.key.size else math.nan for name in VALUES
        },
        differences={one.metric: one for one in compared},
    )


def signs_of(line: Line, metric: str) -> list[int]:
    """Of each seed's difference: -1 or 1 where its interval leaves 0 out, else 0."""
    return [
        sign_of(numbers.differences[metric].difference)
        for numbers in line.seeds.values()
        if metric in numbers.differences and numbers.differences[metric].verdict != "undefined"
    ]


def told(signs: Sequence[int]) -> str:
    """On how many seeds a difference holds.

    >>> told([-1, -1, 0]), told([-1, 1]), told([0]), told([])
    ('lower on 2 of 3', 'lower on 1, higher on 1 of 2', 'none of 1', '–')
    """
    if not signs:
        return "–"
    found = [
        f"{word} on {signs.count(sign)}"
        for sign, word in ((-1, "lower"), (1, "higher"))
        if sign in signs
    ]
    return f"{', '.join(found) or 'none'} of {len(signs)}"


def ablation_table(lines: Sequence[Line]) -> Table:
    """To be read: a cell has the seeds' values side by side."""
    columns_ = [Column("protocol"), Column("model"), Column("seeds"), Column("n")]
    columns_ += [metric_column(name) for name in VALUES]
    columns_ += [Column("accuracy"), Column("unreadable"), Column("against")]
    for name in DIFFERENCES:
        columns_ += [Column(TITLES[name], "difference"), Column(TITLES[name], "holds")]
    rows = [_shown(line) for line in lines]
    return Table("ablation", _title(lines), tuple(columns_), tuple(rows), _NOTES)


def _shown(line: Line) -> tuple[Cell, ...]:
    seeds = line.seeds.values()
    cells: list[Cell] = [protocol_title(line.protocol), line.model, " / ".join(line.seeds)]
    cells.append(_side_by_side([numbers.n for numbers in seeds], Column("")))
    for name in VALUES:
        cells.append(_side_by_side([numbers.values[name] for numbers in seeds], Column("")))
    cells.append(_side_by_side([numbers.accuracy for numbers in seeds], Column("")))
    share = Column("", digits=1, percent=True)
    cells.append(_side_by_side([numbers.unreadable for numbers in seeds], share))
    cells.append(line.start or None)
    for name in DIFFERENCES:
        compared = [numbers.differences.get(name) for numbers in seeds]
        some = any(one is not None for one in compared)
        cells.append(" / ".join(map(_difference, compared)) if some else None)
        cells.append(told(signs_of(line, name)))
    return tuple(cells)


def _side_by_side(values: Sequence[float], column: Column) -> str:
    return " / ".join(show(value, column) for value in values)


def _difference(compared: Comparison | None) -> str:
    if compared is None or compared.verdict == "undefined":
        return "–"
    open_ = compared.verdict == "undecided" and sign_of(compared.difference) != 0
    return show(compared.difference, _SIGNED) + (_UNDECIDED if open_ else "")


def ablation_numbers(lines: Sequence[Line]) -> Table:
    """The same rows to be computed with: a column a seed and value."""
    seeds = list(dict.fromkeys(seed for line in lines for seed in line.seeds))
    columns_ = [Column("protocol"), Column("model"), Column("against")]
    for seed in seeds:
        columns_ += [Column(name, seed) for name in ("n", *VALUES, "accuracy", "unreadable")]
        for name in DIFFERENCES:
            columns_ += [Column(f"{name} difference", seed), Column(f"{name} verdict", seed)]
    for name in DIFFERENCES:
        columns_ += [Column(f"{name} {way}") for way in ("lower on", "higher on", "seeds compared")]
    rows = []
    for line in lines:
        cells: list[Cell] = [line.protocol, line.model, line.start or None]
        for seed in seeds:
            cells += _seed_cells(line.seeds.get(seed))
        for name in DIFFERENCES:
            signs = signs_of(line, name)
            cells += [signs.count(-1), signs.count(1), len(signs)]
        rows.append(tuple(cells))
    return Table("ablation", _title(lines), tuple(columns_), tuple(rows), _NOTES)


def _seed_cells(numbers: Numbers | None) -> list[Cell]:
    if numbers is None:
        return [None] * (len(VALUES) + 3 + 2 * len(DIFFERENCES))
    cells: list[Cell] = [numbers.n, *(known(numbers.values[name]) for name in VALUES)]
    cells += [numbers.accuracy, numbers.unreadable]
    for name in DIFFERENCES:
        one = numbers.differences.get(name)
        if one is None or one.verdict == "undefined":
            cells += [None, None]
        else:
            cells += [Interval(*one.difference), one.verdict]
    return cells


def _title(lines: Sequence[Line]) -> str:
    seeds = list(dict.fromkeys(seed for line in lines for seed in line.seeds))
    return f"Each model beside its start: {', '.join(seeds)}"


_NOTES = (
    "Difference: the model's value minus that of the one it stands against, on the questions on "
    "which both confidences can be read, with its 95 % interval. Holds: on how many seeds the "
    "interval leaves 0 out, and on which side. "
    f"{_UNDECIDED}: by the rules of `eval compare` it is undecided all the same, for instance once "
    "what cannot be read counts as wrong. No p-value is adjusted for the number of rows.",
    *ESTIMATOR_NOTES,
)
