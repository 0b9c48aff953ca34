"""The manifest of a run: what each step was made from and what came out of it.

    {"config": {...},
     "steps": {"sample": {"key": sha256, "versions": {...},
                          "counts": {in, out, dropped, notes, again},
                          "files": {"candidates.jsonl": sha256}, "seconds": 12.3}}}

`key` is a hash of the step's name, the seed and the sections of the configuration that it reads,
what else it depends on, and of the files of all steps above it: another content there makes
another key, the same content, done again, does not. While a step is done anew those below it are
`stale`: they count as done once their keys are found to be as before.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data_prep.pipeline.config import Config, as_mapping, as_shown
from data_prep.pipeline.step_table import STEPS, ancestors
from data_prep.steps.step_log import Counts
from reward_fns.errors import UserError
from reward_fns.files import read_mapping, write_json

_NOT_DONE = {"stale": True}


class Manifest:
    """The manifest file of a run directory.

    Raises:
        UserError: there is one that cannot be read.
    """

    def __init__(self, run: Path, config: Config) -> None:
        self._run = run
        self._path = run / "manifest.json"
        self._config = as_mapping(config)
        self._shown = as_shown(config)
        self.steps: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            steps = read_mapping(self._path).get("steps")
            if not isinstance(steps, dict):
                raise UserError(
                    f"{self._path} holds no steps: delete it, and finished steps are done again"
                )
            self.steps = steps

    def key(self, name: str, identity: Mapping[str, Any]) -> str:
        """The key of a step; all that it needs is done."""
        step = STEPS[name]
        parts = {
            "step": name,
            "seed": self._config["seed"],
            "config": {section: _part(self._config, section) for section in step.sections},
            "identity": dict(identity),
            "needs": {need: self.steps[need]["files"] for need in ancestors(name)[:-1]},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def missing(self, name: str) -> list[str]:
        """The steps above this one that are not done."""
        return [
            need for need in ancestors(name)[:-1] if self.steps.get(need, _NOT_DONE).get("stale")
        ]

    def is_done(self, name: str, key: str) -> bool:
        """Whether the step is done with this key, nothing is left to ask again, and its files
        are as it wrote them.
        """
        entry = self.steps.get(name)
        if entry is None or entry["key"] != key or entry["counts"]["again"]:
            return False
        if any(sha256(self._run / file) != digest for file, digest in entry["files"].items()):
            return False
        if entry.pop("stale", False):
            self._write()
        return True

    def counts(self, name: str) -> Counts:
        """The counts of a done step."""
        kept = self.steps[name]["counts"]
        return Counts(kept["in"], kept["out"], kept["dropped"], kept["notes"], kept["again"])

    def forget(self, name: str) -> None:
        """The step is about to be done anew: it is not done until it is, and what depends on
        it is to be looked at.
        """
        self.steps.pop(name, None)
        for step, entry in self.steps.items():
            if name in ancestors(step):
                entry["stale"] = True
        self._write()

    def record(self, name: str, key: str, counts: Counts, seconds: float) -> None:
        """The step is done."""
        step = STEPS[name]
        kept = asdict(counts)
        self.steps[name] = {
            "key": key,
            "versions": _versions(step.packages),
            "counts": {"in": kept.pop("n_in"), "out": kept.pop("n_out"), **kept},
            "files": {file: sha256(self._run / file) for file in step.files},
            "seconds": round(seconds, 1),
        }
        self._write()

    def _write(self) -> None:
        ordered = {step: self.steps[step] for step in STEPS if step in self.steps}
        write_json(self._path, {"config": self._shown, "steps": ordered})


def _part(config: Mapping[str, Any], name: str) -> Any:
    """A section of the configuration, or one key of a section, as in `sft.judge`."""
    section, _, key = name.partition(".")
    return config[section][key] if key else config[section]


def sha256(path: Path) -> str | None:
    """Hex digest of a file, None if there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in ("difficulty-calib", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # vllm has two names, for GPU and CPU
    return found


def table(manifest: Manifest) -> str:
    """What went in and out of each done step, with what was dropped and what was kept
    without a result, by reason.

    In = out + dropped in every row; a step takes in what the step that it follows gave out.
    """
    rows = [("step", "in", "out", "dropped", "reasons")]
    for name in (step for step in STEPS if not manifest.steps.get(step, _NOT_DONE).get("stale")):
        counts = manifest.counts(name)
        reasons = [f"{n} {reason}" for reason, n in counts.dropped.items()]
        reasons += [f"({n} kept: {reason})" for reason, n in counts.notes.items()]
        rows.append(
            (
                name,
                str(counts.n_in),
                str(counts.n_out),
                str(sum(counts.dropped.values())),
                ", ".join(reasons),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        numbers = "  ".join(
            cell.rjust(width) for cell, width in zip(row[1:4], widths[1:], strict=True)
        )
        lines.append(f"{row[0].ljust(widths[0])}  {numbers}  {row[4]}".rstrip())
    return "\n".join(lines)
