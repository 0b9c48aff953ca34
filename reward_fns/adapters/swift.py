"""ms-swift's plugin: a class whose objects are called with completions and the dataset's columns.

# plugin.py, given as --external_plugins plugin.py --reward_funcs difficulty
from reward_fns.adapters.swift import make_orm
from swift.rewards import ORM, orms  # before 4.0: swift.plugin

expert = {"kind": "openai", "model": "gpt-4o"}
orms["difficulty"] = make_orm(ORM, expert=expert, data_source="VQAv2")
"""

from typing import Any

from reward_fns.adapters.trl import make_reward_func


def make_orm(base: type, *, data_source: str | None = None, **options: Any) -> type:
    """A class to register in ms-swift's ``orms``.

    Args:
        base: ms-swift's class ``ORM``.
        data_source, options: see `trl.make_reward_func`.

    Raises:
        ConfigurationError: an option that cannot work.
    """
    reward = make_reward_func(data_source=data_source, **options)

    def call(self: Any, completions: list[Any], **columns: Any) -> list[float | None]:
        return reward(completions, **columns)

    return type("DifficultyORM", (base,), {"__call__": call})
