"""What the reward returned for each rollout, out of verl's queue."""

from collections.abc import Mapping
from typing import Any

import transfer_queue as tq


def rewards_of(keys: list[str], partition_id: str) -> dict[str, Mapping[str, Any]]:
    """What the reward returned for each rollout, by its key."""
    data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["extra_fields"])
    fields = [getattr(field, "data", field) for field in data["extra_fields"]]
    return {key: field["reward_extra_info"] for key, field in zip(keys, fields, strict=True)}


def rewards_of_batch(batch: tq.KVBatchMeta) -> dict[str, Mapping[str, Any]]:
    """As `rewards_of`, of a batch; padding rows left out."""
    keys = [
        key
        for key, tag in zip(batch.keys, batch.tags, strict=True)
        if not tag.get("is_padding", False)
    ]
    return rewards_of(keys, batch.partition_id)
