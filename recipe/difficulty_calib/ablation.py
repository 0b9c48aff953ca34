"""The rows of examples/run_ablation.sh: read, chosen, and what they take.

    python -m recipe.difficulty_calib.ablation list [OPTIONS]   the chosen rows and their hours
    python -m recipe.difficulty_calib.ablation plan [OPTIONS]   a line a training, for the script

A line of the plan holds, parted by tabs: seed, name, what it starts from ("-": nothing), "sft",
"grpo" or "base", its target or rule ("-" for the base), "all" or "verbal" (protocols), keys.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reward_fns.errors import UserError
from reward_fns.files import read_mapping

BASE = "base"
TARGETS = ("own", "facts", "samples", "r_tuning")
SEEDS = (0, 1, 2)
_FIELDS = ("target", "rule", "from", "keys", "main")
_FOLDERS = (
    *("stages", "logs", "models", "records", "questions", "held_out", "stage_one"),
    *("curves", "hydra", "tensorboard"),
)
"""Of a seed; a row's checkpoints stand beside them, under its name."""

# Minutes on two cores of the pocket model, of the project's own runs.
STAGE_ONE = 9.0
OTHER_TARGET = 2.0
"""Stage one's last steps once more, for another target of SFT."""
TRAINING = {"base": 0.0, "sft": 9.0, "grpo": 10.0}
VERBAL = 1.5
"""1,000 questions to one model."""
ALL_PROTOCOLS = 6.0
"""Likewise: 3.9 times the CPU time of Verbal alone (213 s and 55 s, base, 1,000 questions)."""


@dataclass(frozen=True)
class Row:
    """One model of the table.

    Attributes:
        start: name of the row that it is trained from; None for the base.
        target: what SFT's data state, of `TARGETS`; "" if it is no SFT.
        rule: of GRPO; "" if it is no GRPO.
        keys: Hydra overrides of its training.
        main: whether a claim rests on it.
    """

    name: str
    start: str | None = None
    target: str = ""
    rule: str = ""
    keys: tuple[str, ...] = ()
    main: bool = False

    @property
    def kind(self) -> str:
        """A key of `TRAINING`."""
        return "sft" if self.target else "grpo" if self.rule else "base"

    @property
    def learns(self) -> str:
        """Target or rule."""
        return self.target or self.rule


@dataclass(frozen=True)
class Job:
    """A row of one seed."""

    seed: int
    row: Row


def read_rows(path: Path) -> dict[str, Row]:
    """Name -> row, the base first; below its start each.

    Raises:
        UserError: the file is no such table; the message names the row.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.create(read_mapping(path)), resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from error
    table = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not table:
        raise UserError(f"{path} has no rows: name some under rows")
    rows = {BASE: Row(BASE, main=True)}
    for name, fields in table.items():
        if name in rows:
            raise UserError(f"{path}: {name} is the model that SFT starts from: rename the row")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", str(name)):
            raise UserError(f"{path}: row {name!r}: name it by letters, digits, _ and -")
        if name in _FOLDERS:
            raise UserError(f"{path}: {name} is a folder of the run: rename the row")
        rows[name] = _row(f"{path}: row {name}", name, fields, rows)
    return rows


def _row(where: str, name: str, fields: Any, above: Mapping[str, Row]) -> Row:
    if not isinstance(fields, dict) or (unknown := [key for key in fields if key not in _FIELDS]):
        named = f" {unknown[0]}" if isinstance(fields, dict) else ""
        raise UserError(f"{where} has an unknown field{named}: there are {', '.join(_FIELDS)}")
    target, rule, start = (fields.get(key) or "" for key in ("target", "rule", "from"))
    if bool(target) == bool(rule):
        raise UserError(f"{where} needs a target (SFT) or a rule (GRPO), one of them")
    if target and target not in TARGETS:
        raise UserError(f"{where}: no target {target}; there are {', '.join(TARGETS)}")
    if target and start not in ("", BASE):
        raise UserError(f"{where}: SFT starts from the base, leave out from")
    if rule and start not in above:
        raise UserError(f"{where} starts from {start or 'nothing'}, which is no row above it")
    if rule and above[start].kind == "grpo":
        raise UserError(f"{where} starts from {start}: GRPO starts from the base or an SFT row")
    keys, main = fields.get("keys") or "", bool(fields.get("main"))
    return Row(name, start or BASE, target, rule, tuple(str(keys).split()), main)


def jobs_of(
    rows: Mapping[str, Row], only: Sequence[str] = (), seeds: Sequence[int] = ()
) -> list[Job]:
    """What is to be trained, by seed, and for each all that it starts from.

    Args:
        only: names; none: all rows.
        seeds: on which each of them runs; none: the main ones on `SEEDS`, the others on the first.

    Raises:
        UserError: a name is no row's.
    """
    if unknown := [name for name in only if name not in rows]:
        raise UserError(f"there is no row {unknown[0]}; there are {', '.join(rows)}")
    wanted = [rows[name] for name in only or rows]
    jobs = []
    for seed in seeds or SEEDS:
        here = [row for row in wanted if seeds or row.main or seed == SEEDS[0]]
        needed: set[str] = set()
        for row in here:
            step: Row | None = row
            while step is not None:
                needed.add(step.name)
                step = rows[step.start] if step.start else None
        jobs += [Job(seed, row) for name, row in rows.items() if name in needed]
    return jobs


def hours_of(jobs: Sequence[Job], questions: int) -> float:
    """On two cores, of all that the jobs need.

    Args:
        questions: held-out ones that each model is asked.
    """
    seeds = {job.seed for job in jobs}
    others = {(job.seed, job.row.target) for job in jobs} & {
        (seed, target) for seed in seeds for target in ("facts", "samples")
    }
    minutes = len(seeds) * STAGE_ONE + len(others) * OTHER_TARGET
    return minutes / 60 + sum(row_hours(job.row, questions) for job in jobs)


def row_hours(row: Row, questions: int) -> float:
    """Training and evaluation of one seed, without what comes before."""
    asked = (ALL_PROTOCOLS if row.main else VERBAL) * questions / 1000
    return (TRAINING[row.kind] + asked) / 60


def listing(jobs: Sequence[Job], questions: int) -> str:
    """A line a row, and the sum."""
    seeds_of: dict[Row, list[str]] = {}
    for job in jobs:
        seeds_of.setdefault(job.row, []).append(str(job.seed))
    lines = [("row", "from", "learns", "protocols", "seeds", "hours", "keys")]
    lines += [
        (
            row.name,
            row.start or "-",
            row.learns or "-",
            _protocols(row),
            " ".join(seeds),
            f"{len(seeds) * row_hours(row, questions):.1f}",
            " ".join(map(_short, row.keys)),
        )
        for row, seeds in seeds_of.items()
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    told = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    trainings = sum(job.row is not jobs[0].row for job in jobs)
    return "\n".join(
        [
            *told,
            "",
            f"{trainings} trainings, {questions:,} held-out questions a model: about "
            f"{hours_of(jobs, questions):.0f} hours with stage one of each seed, an estimate from "
            "runs on two cores",
        ]
    )


def plan(jobs: Sequence[Job]) -> str:
    """The lines of the module docstring."""
    return "\n".join(
        "\t".join(
            [
                str(job.seed),
                job.row.name,
                job.row.start or "-",
                job.row.kind,
                job.row.learns or "-",
                _protocols(job.row),
                " ".join(job.row.keys),
            ]
        )
        for job in jobs
    )


def _short(key: str) -> str:
    """A Hydra override without the sections of its key.

    >>> _short("actor_rollout_ref.actor.clip_ratio_high=0.2")
    'clip_ratio_high=0.2'
    """
    name, equals, value = key.partition("=")
    return name.rpartition(".")[2] + equals + value


def _protocols(row: Row) -> str:
    return "all" if row.main else "verbal"


def _seeds(text: str) -> list[int]:
    words = text.split()
    if not words or not all(word.isdigit() and len(word) <= 9 for word in words):
        raise UserError(f"--seeds '{text}' are no whole numbers from 0 to 999999999")
    return list(dict.fromkeys(map(int, words)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one of the two; 0, or 1 after one line `FAILED: ...`."""
    parser = argparse.ArgumentParser(
        prog="python -m recipe.difficulty_calib.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["list", "plan"])
    parser.add_argument("--rows", type=Path, default=Path("examples/ablation.yaml"))
    parser.add_argument("--only", default="", help="names of rows (default: all)")
    parser.add_argument("--seeds", help="numbers (default: 0 1 2 of main rows, 0 of others)")
    parser.add_argument("--test", default="3000", help="held-out questions a model")
    options = parser.parse_args(arguments)
    try:
        if not options.test.isdigit() or int(options.test) < 5:
            raise UserError(f"--test {options.test} is no number of questions, 5 or more")
        seeds = [] if options.seeds is None else _seeds(options.seeds)
        jobs = jobs_of(read_rows(options.rows), options.only.split(), seeds)
        print(plan(jobs) if options.what == "plan" else listing(jobs, int(options.test)))
    except UserError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
