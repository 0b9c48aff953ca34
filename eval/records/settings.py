"""What a record file was made with, kept beside it; records of other settings are
moved out of the way.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.records.files import settings_path
from eval.records.left_out import left_out_path
from eval.records.versions import versions
from reward_fns.expert import Expert
from reward_fns.expert.protocol import identity_of
from reward_fns.files import PARTIAL_SUFFIX, read_mapping, write_json


def judge_settings(expert: Expert) -> dict[str, Any]:
    """Who judges, beside the name: a served model's server and parameters.

    Nothing for an expert that its name alone tells apart, so that older records stay.
    """
    identity = identity_of(expert)
    return {} if identity is None else {"judged_by": dict(identity)}


def keep_settings(records: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings beside the records to come; records that were made with others,
    or with none, go aside.
    """
    path = settings_path(records)
    before = read_mapping(path) if path.exists() else {}
    changed = sorted(
        name for name in settings.keys() | before.keys() if before.get(name) != settings.get(name)
    )
    if "versions" in changed:
        changed.remove("versions")
    if path.exists() and not changed:
        return
    if moved := set_aside(records):
        what = f"another {', '.join(changed)}" if before else "unknown settings"
        print(f"{records}: made with {what}, now in {moved}; asking again")
    write_json(path, {**settings, "versions": versions()})


def set_aside(records: Path) -> Path | None:
    """Move a record file, whole or partial, and its settings to
    `old/<8 hex digits of the settings' hash>/` beside it.

    A report of the directory above does not read them any more. Records that were set aside with
    the same settings before are replaced.

    Returns:
        The directory, None if there are no records.
    """
    settings = settings_path(records)
    sources = [
        path
        for path in (records, records.with_name(records.name + PARTIAL_SUFFIX))
        if path.exists()
    ]
    if not sources:
        left_out_path(records).unlink(missing_ok=True)  # of answers that are gone
        return None
    content = settings.read_bytes() if settings.exists() else b""
    target = records.parent / "old" / hashlib.sha256(content).hexdigest()[:8]
    target.mkdir(parents=True, exist_ok=True)
    # A file of confidences has none: its name would be that of another file.
    left_out = left_out_path(records)
    named = [left_out] if records.name.endswith(".answers.jsonl") and left_out.exists() else []
    # The settings go last: whatever a kill leaves here is still known to be outdated.
    for path in [*sources, *named, *([settings] if settings.exists() else [])]:
        os.replace(path, target / path.name)
    return target
