"""Start torch.distributed on a host whose only device is the CPU."""

import functools
from typing import Any

from recipe.difficulty_calib.patches import Patch


def without_duplicates(backend: str) -> str:
    """``"cpu:gloo,cpu:gloo"`` -> ``"cpu:gloo"``."""
    return ",".join(dict.fromkeys(backend.split(",")))


def _apply(module: Any) -> None:
    import torch.distributed

    stock = torch.distributed.init_process_group

    @functools.wraps(stock)
    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> None:
        stock(without_duplicates(backend) if backend is not None else None, *args, **kwargs)

    torch.distributed.init_process_group = init_process_group


PATCH = Patch(
    name="one gloo backend for the CPU",
    module="verl.utils.distributed",
    touches=("initialize_global_process_group", "initialize_global_process_group_ray"),
    reason='verl asks for "cpu:gloo,<device>:<backend>", on the CPU '
    '"cpu:gloo,cpu:gloo", which torch refuses',
    apply=_apply,
)
