"""Running steps: each once for its inputs and configuration, one run of a directory at a time."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.pipeline.config import Config
from data_prep.pipeline.manifest import Manifest, table
from data_prep.pipeline.step_table import STEPS
from data_prep.steps.context import Context, Models
from reward_fns.errors import UserError
from reward_fns.files import alone_in


def run_steps(config: Config, run: Path, names: Sequence[str]) -> str:
    """Do the named steps, in the order of `STEPS`, that are not done yet;
    returns the table of counts.

    Each step that is done is skipped if neither its inputs nor its configuration have changed,
    else done anew. What depends on it is done anew if something else came out.

    Raises:
        UserError: an input that the user has to mend; what is done stays.
        RuntimeError: the counts of a step do not follow from those before it.
    """
    with alone_in(run), Models(config.model, run / "cache") as models:
        manifest = Manifest(run, config)
        for name in names:
            context = Context(run, name, "", models, config.seed)
            _run_step(name, context, STEPS[name].settings(config), manifest)
        return table(manifest)


def _run_step(name: str, context: Context, settings: Any, manifest: Manifest) -> None:
    step = STEPS[name]
    if missing := manifest.missing(name):
        raise UserError(f"the step {name} needs {missing[0]}: run it first")
    identity = dict(step.identity(context, settings))
    if step.pictures:
        identity["pictures"] = context.pictures()
    key = manifest.key(name, identity)
    if manifest.is_done(name, key) and step.unchanged(context):
        print(f"{name}: done before, inputs and configuration unchanged", flush=True)
        _show(context.run, step.shows)
        return
    total = manifest.counts(step.follows).n_out if step.follows else None
    manifest.forget(name)
    started = time.monotonic()
    context = replace(context, key=key, total=total, records=step.files[0])
    counts = step.run(context, settings)
    if total is not None and counts.n_in != total:
        raise RuntimeError(f"{name} took in {counts.n_in} records, {step.follows} gave out {total}")
    manifest.record(name, key, counts, time.monotonic() - started)
    for partial in (context.run / "partial").glob(f"{name}-*.jsonl"):
        partial.unlink()
    seconds = manifest.steps[name]["seconds"]
    print(
        f"{name}: {counts.n_in} in, {counts.n_out} out, {sum(counts.dropped.values())} "
        f"dropped, {seconds} s",
        flush=True,
    )
    _show(context.run, step.shows)


def _show(run: Path, file: str | None) -> None:
    if file is not None:
        print(f"\n{(run / file).read_text(encoding='utf-8')}", flush=True)
