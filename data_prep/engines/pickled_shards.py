"""What a checkpoint's shards would call when they are loaded, looked at before they are.

    python -m data_prep.engines.pickled_shards FOLDER

looks at the checkpoint that a training in FOLDER resumes from.

verl loads its shards with `torch.load(weights_only=False)`, which runs what the pickle in them
names. Those of a real FSDP checkpoint name tensors, meshes and placements, and the states of
generators numpy's arrays (`_KNOWN`, taken from torch 2.13); nothing else may be named.
"""

import glob
import os
import pickletools
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from reward_fns.errors import UserError

TRUST_VARIABLE = "DIFFICULTY_CALIB_TRUST_CHECKPOINT"
"""Set to 1, shards are loaded whatever they name."""
_KNOWN = re.compile(
    r"collections OrderedDict"
    r"|torch (Size|device|b?float\d+|u?int\d+|bool|\w+Storage)"
    r"|torch\._tensor _rebuild_from_type_v2"
    r"|torch\._utils _rebuild_(tensor_v2|wrapper_subclass|parameter)"
    r"|torch\.serialization _get_layout"
    r"|numpy(\._core\.multiarray)? (_reconstruct|ndarray|dtype)"
    r"|_codecs encode"
    r"|torch\.distributed\.(_mesh_layout|device_mesh|tensor(\._dtensor_spec|\.placement_types)?)"
    r" _?[A-Z]\w*"
)
_OTHER_WAYS = ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")
"""Operations by which a pickle names something else than by GLOBAL; torch writes none."""


def check_shards(shards: list[Path]) -> None:
    """Refuse shards that name more than tensors do.

    Raises:
        UserError: a shard does, or is none of torch's zip files.
    """
    if os.environ.get(TRUST_VARIABLE) == "1":
        return
    for shard in shards:
        try:
            unknown = sorted({name for name in _named(shard) if not _KNOWN.fullmatch(name)})
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise UserError(
                f"{shard} is no checkpoint that torch wrote ({error}): is the checkpoint whole?"
            ) from error
        if unknown:
            raise UserError(
                f"{shard} would call {', '.join(unknown[:3])} when it is loaded, which no tensor "
                f"needs: it may run any code. If you trust who made it, set {TRUST_VARIABLE}=1"
            )


def _named(shard: Path) -> Iterator[str]:
    with zipfile.ZipFile(shard) as archive:
        names = archive.namelist()
        doubled = [name for name, n in Counter(names).items() if n > 1]
        pickles = [name for name in names if name.endswith(".pkl")]
        if doubled or len(pickles) != 1 or not pickles[0].endswith("/data.pkl"):
            raise ValueError("it does not hold one data.pkl")
        for operation, argument, _ in pickletools.genops(archive.read(pickles[0])):
            if operation.name == "GLOBAL":
                yield str(argument)
            elif operation.name in _OTHER_WAYS:
                yield f"{operation.name} {argument or ''}".strip()


def main(folder: Path) -> int:
    """Check the newest checkpoint of a training's folder, of which verl loads all that it
    saved; 1 if it is refused.
    """
    newest = folder / "latest_checkpointed_iteration.txt"
    if not newest.is_file():
        return 0
    try:
        # The number as verl reads it: of "02" it takes global_step_2.
        checkpoint = folder / f"global_step_{int(newest.read_text(encoding='utf-8'))}"
        # This one follows links to folders, as opening a file does; Path.rglob does not.
        shards = glob.glob("**/*.pt", root_dir=checkpoint, recursive=True, include_hidden=True)
        check_shards([checkpoint / shard for shard in sorted(shards)])
    except (UserError, ValueError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
