"""Wall seconds of a run's stages, from the files that the entry script leaves."""

from pathlib import Path

from reward_fns.errors import UserError
from reward_fns.files import read_mapping


def read_stage_seconds(directory: Path) -> dict[str, float]:
    """Wall seconds by stage, from the files {"stage": name, "seconds": float} of a
    directory, oldest first.

    Raises:
        UserError: the directory is missing or a file lacks a key.
    """
    if not directory.is_dir():
        raise UserError(f"no directory of stage times {directory}")
    seconds = {}
    for file in sorted(
        directory.glob("*.json"), key=lambda file: (file.stat().st_mtime, file.name)
    ):
        content = read_mapping(file)
        if not {"stage", "seconds"} <= content.keys():
            raise UserError(f'{file} needs the keys "stage" and "seconds"')
        seconds[str(content["stage"])] = float(content["seconds"])
    return seconds
