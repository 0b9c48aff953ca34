"""From model specs and a question file to record files: one model after the other, resumable, settings kept beside."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval import verbal
from eval.engine import Engine
from eval.errors import UserError
from eval.models import prepare
from eval.questions import load_questions
from eval.records import VERBAL, RecordLog, records_path, settings_path, write_text
from eval.verbal import Decoding
from eval.versions import versions
from reward_fns.expert import make_expert


def collect(
    specs: Mapping[str, str],
    questions_file: Path,
    out: Path,
    decoding: Decoding,
    expert_config: str | Mapping[str, Any],
    limit: int | None,
) -> list[Path]:
    """Write the Verbal records of every model; questions that are answered already are not asked again.

    Args:
        specs: model name -> spec (see `models.prepare`).
        questions_file: verl parquet.
        out: directory of the record files; copies of merged models go to `out/models`.
        expert_config: see `reward_fns.expert.make_expert`.
        limit: number of questions kept of each dataset; None for all.

    Raises:
        UserError: a model, the questions or the expert's configuration is wrong, or records that are there were made
            with other settings.
    """
    try:
        expert = make_expert(expert_config)
    except ValueError as error:
        raise UserError(str(error)) from error
    questions = load_questions(questions_file, limit)
    questions_sha256 = hashlib.sha256(questions_file.read_bytes()).hexdigest()
    # All specs are checked before the first long run.
    ready = {name: prepare(spec, out / "models") for name, spec in specs.items()}
    paths = []
    for name, model in ready.items():
        path = records_path(out, name, VERBAL)
        settings = asdict(decoding) | {
            "questions_sha256": questions_sha256,
            "model_sha256": model.fingerprint,
            "expert": expert.name,
        }
        log = RecordLog(path)
        _check_settings(path, settings, fresh=not log.done)
        todo = [question for question in questions if question.question_id not in log.done]
        if todo:
            with Engine(model.path) as engine:
                verbal.answer(name, engine, todo, log, expert, decoding)
        log.finish()
        print(f"{path}: {len(log.done)} records, {len(todo)} of them new")
        paths.append(path)
    return paths


def _check_settings(records: Path, settings: dict[str, object], fresh: bool) -> None:
    """Keep the settings of new records; refuse to add to records that were made with others."""
    path = settings_path(records)
    if fresh or not path.exists():
        write_text(path, json.dumps(settings | {"versions": versions()}, indent=2) + "\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    for name, value in settings.items():
        if before.get(name) != value:
            raise UserError(
                f"{records} was made with {name} {before.get(name)}, now asked with {value}: remove it and "
                f"{path.name}, or choose another --out"
            )
