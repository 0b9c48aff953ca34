"""The LoRA adapter of one of verl's FSDP checkpoints, by verl's own merger; takes the
arguments of `verl.model_merger`.

    python -m data_prep.engines.verl_adapter merge --backend fsdp \\
        --local_dir CHECKPOINT --target_dir OUT

Writes `OUT/lora_adapter` and nothing else. verl 0.9.1's merger goes on to the base: of a
checkpoint saved with `save_lora_only` that ends in an error, of any other in 14 GB that nobody
reads. A process of its own, since verl loads its plugins when it is imported.
"""

from typing import Any

from verl.model_merger.base_model_merger import generate_config_from_args, parse_args
from verl.model_merger.fsdp_model_merger import FSDPModelMerger


class AdapterMerger(FSDPModelMerger):
    """verl's merger, which stops when the adapter is written."""

    def save_hf_model_and_tokenizer(self, state_dict: dict[str, Any]) -> None:
        """Write the adapter.

        Raises:
            ValueError: the checkpoint's shards hold none.
        """
        if self.save_lora_adapter(state_dict) is None:
            raise ValueError(f"no LoRA adapter in the shards of {self.config.local_dir}")


if __name__ == "__main__":
    AdapterMerger(generate_config_from_args(parse_args())).merge_and_save()
