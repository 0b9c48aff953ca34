"""Name a run's segments of shared memory and its semaphores after the run, so that what it leaves
can be removed (`leftovers`).
"""

import os
from typing import Any

from recipe.difficulty_calib.leftovers import PREFIX_VARIABLE
from recipe.difficulty_calib.patches import Patch


def _name_segments(module: Any) -> None:
    prefix = os.environ.get(PREFIX_VARIABLE)
    if prefix:
        module._SHM_NAME_PREFIX = f"/{prefix}"


def _name_semaphores(_: Any) -> None:
    from multiprocessing import synchronize

    prefix = os.environ.get(PREFIX_VARIABLE)
    if prefix:
        lock: Any = synchronize.SemLock
        lock._make_name = staticmethod(lambda: f"/{prefix}-{os.getpid()}-{next(lock._rand)}")


PATCH = Patch(
    name="segments named after their run",
    module="multiprocessing.shared_memory",
    reason="vLLM's segments outlive its processes, which verl kills, and nothing "
    "tells whose they are",
    apply=_name_segments,
)
SEMAPHORES = Patch(
    name="semaphores named after their run",
    module="multiprocessing.synchronize",
    reason="those of killed processes stay, as segments do",
    apply=_name_semaphores,
)
LOKY = Patch(
    name="semaphores named after their run beside joblib",
    module="joblib.externals.loky.backend",
    reason="its import names them anew, and vLLM's workers import it",
    apply=_name_semaphores,
    versions={"joblib": ">=1.3"},
    only_with="joblib",
)
