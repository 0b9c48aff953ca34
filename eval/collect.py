"""From model specs and a question file to record files: one model after the other, resumable, settings kept beside."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_prep.engines import open_engine
from data_prep.questions import load_questions
from eval import verbal
from eval.records import VERBAL, RecordLog, records_path, settings_path
from eval.settings import set_aside
from eval.verbal import Decoding
from eval.versions import versions
from reward_fns.errors import UserError
from reward_fns.expert import make_expert
from reward_fns.files import read_mapping, write_json


def collect(
    specs: Mapping[str, str],
    questions_file: Path,
    out: Path,
    decoding: Decoding,
    expert_config: str | Mapping[str, Any],
    limit: int | None,
) -> list[Path]:
    """Write the Verbal records of every model; questions that are answered already are not asked again.

    Records of other settings (another model behind the name, seed, decoding, ...) are set aside first, see
    `records.set_aside`, and made anew.

    Args:
        specs: model name -> spec (see `engines.open_engine`).
        questions_file: verl parquet.
        out: directory of the record files; copies of merged models go to `out/models`.
        expert_config: see `reward_fns.expert.make_expert`.
        limit: number of questions kept of each dataset; None for all.

    Raises:
        UserError: a model, the questions or the expert's configuration is wrong.
    """
    try:
        expert = make_expert(expert_config)
    except ValueError as error:
        raise UserError(str(error)) from error
    questions = load_questions(questions_file, limit)
    questions_sha256 = hashlib.sha256(questions_file.read_bytes()).hexdigest()
    # All specs are checked, and outdated records set aside, before the first long run.
    engines = {name: open_engine(spec, out / "models") for name, spec in specs.items()}
    paths = {name: records_path(out, name, VERBAL) for name in specs}
    for name, engine in engines.items():
        settings = asdict(decoding) | {
            "questions_sha256": questions_sha256,
            "model_sha256": engine.fingerprint,
            "expert": expert.name,
        }
        _keep_settings(paths[name], settings)
    for name, engine in engines.items():
        log = RecordLog(paths[name], decoding.samples)
        todo = [question for question in questions if question.question_id not in log.done]
        if todo:
            with engine:
                verbal.answer(name, engine, todo, log, expert, decoding)
        log.finish()
        print(f"{paths[name]}: {len(log.done)} questions, {len(todo)} of them new")
    return list(paths.values())


def _keep_settings(records: Path, settings: dict[str, Any]) -> None:
    """Write the settings beside the records to come; records that were made with others, or with none, go aside."""
    path = settings_path(records)
    before = read_mapping(path) if path.exists() else {}
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if not changed:
        return
    if moved := set_aside(records):
        what = f"another {', '.join(changed)}" if before else "unknown settings"
        print(f"{records}: made with {what}, now in {moved}; asking again")
    write_json(path, settings | {"versions": versions()})
