"""Name a run's segments of shared memory after the run, so that what it leaves can be
removed (`leftovers`).
"""

import os
from typing import Any

from recipe.difficulty_calib.leftovers import PREFIX_VARIABLE
from recipe.difficulty_calib.patches import Patch


def _apply(module: Any) -> None:
    prefix = os.environ.get(PREFIX_VARIABLE)
    if prefix:
        module._SHM_NAME_PREFIX = f"/{prefix}"


PATCH = Patch(
    name="segments named after their run",
    module="multiprocessing.shared_memory",
    reason="vLLM's segments outlive its processes, which verl kills, and nothing "
    "tells whose they are",
    apply=_apply,
)
