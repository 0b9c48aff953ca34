"""Which attention a run on GPUs uses: flash-attn where it can be imported, torch's own else."""

import importlib


def choose() -> tuple[str, str]:
    """(value of ``attn_implementation``, why). A build for another torch is installed and fails."""
    try:
        importlib.import_module("flash_attn")
    except ImportError as error:
        return "sdpa", f"flash-attn cannot be imported: {str(error).splitlines()[0]}"
    return "flash_attention_2", "flash-attn is installed"
