"""JSON and YAML files of the report: strict JSON out (NaN becomes null), clear errors in."""

import json
import math
from pathlib import Path
from typing import Any

import yaml

from eval.errors import UserError
from eval.records import write_text


def without_nan(value: Any) -> Any:
    """The same nested dicts and lists with None for every NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON, atomically."""
    write_text(path, json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON or YAML file that holds a mapping.

    Raises:
        UserError: the file is missing, not readable, or holds something else.
    """
    if not path.is_file():
        raise UserError(f"no file {path}")
    try:
        content = _parse(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is neither JSON nor YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a mapping")
    return content


def _parse(text: str) -> Any:
    try:
        return json.loads(text)  # first: to YAML the number 1e-05 is a string
    except json.JSONDecodeError:
        return yaml.safe_load(text)


def read_stage_seconds(directory: Path) -> dict[str, float]:
    """Wall seconds by stage, from the files {"stage": name, "seconds": float} of a directory, oldest first.

    Raises:
        UserError: the directory is missing or a file lacks a key.
    """
    if not directory.is_dir():
        raise UserError(f"no directory of stage times {directory}")
    seconds = {}
    for file in sorted(directory.glob("*.json"), key=lambda file: (file.stat().st_mtime, file.name)):
        content = read_mapping(file)
        if not {"stage", "seconds"} <= content.keys():
            raise UserError(f'{file} needs the keys "stage" and "seconds"')
        seconds[str(content["stage"])] = float(content["seconds"])
    return seconds
