"""From verl's checkpoints to what everything else loads: a Hugging Face directory,
and a peft LoRA adapter.

    python -m recipe.difficulty_calib.export sft outputs/run/sft outputs/run/models/sft --base MODEL
    python -m recipe.difficulty_calib.export lora outputs/run/grpo outputs/run/models/rl

Takes the checkpoint that the training chose (`selection`), else the newest whole one; a
``global_step_N`` directory is taken as named (`data_prep.engines.verl_checkpoint`). Written beside
the target and renamed: a target that exists is whole, and no other disk is touched.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.engines import verl_checkpoint
from data_prep.engines.models import located, merge_adapter, rename_to_hub
from reward_fns.errors import UserError


def export_sft(run: Path, target: Path, base: str | None = None) -> None:
    """Write the model that SFT trained: as verl saved it, or with its LoRA
    adapter merged into the base.

    The weights have the hub's names, so that no engine needs another copy.

    Args:
        base: the model that SFT started from, directory or hub name; needed for a LoRA checkpoint.
            The merged model has its precision.

    Raises:
        UserError: no checkpoint, or one without what it takes to write a model.
    """
    checkpoint = verl_checkpoint.kept_checkpoint(run)
    if verl_checkpoint.has_lora(checkpoint):
        if base is None:
            raise UserError(
                f"{checkpoint} holds a LoRA adapter: name the model it was trained on with --base"
            )
        _export_merged(checkpoint, target, located(base))
        return
    whole = verl_checkpoint.saved_model(checkpoint)
    if whole is None:
        raise UserError(
            f"no weights in {checkpoint / 'huggingface'}: SFT ran without hf_model in "
            "checkpoint.save_contents"
        )
    with _written_beside(target) as beside:
        shutil.copytree(whole, beside, dirs_exist_ok=True)
        rename_to_hub(beside)


def _export_merged(checkpoint: Path, target: Path, base: Path) -> None:
    with _written_beside(target) as beside:
        adapter = verl_checkpoint.write_adapter(checkpoint, beside)
        # First, or the base's own processor would take the place of the one that was trained with.
        verl_checkpoint.copy_processor(checkpoint, beside)
        merge_adapter(base, adapter, beside, dtype="auto")
        shutil.rmtree(adapter)


def export_lora(run: Path, target: Path) -> None:
    """Write the kept checkpoint's LoRA adapter as peft loads it.

    Raises:
        UserError: no checkpoint, or one without an adapter.
    """
    checkpoint = verl_checkpoint.kept_checkpoint(run)
    with _written_beside(target) as beside:
        adapter = verl_checkpoint.write_adapter(checkpoint, beside)
        shutil.copytree(adapter, beside, dirs_exist_ok=True)
        shutil.rmtree(adapter)


@contextmanager
def _written_beside(target: Path) -> Iterator[Path]:
    """A directory to fill that takes the target's place when the block ends well."""
    beside = target.with_name(f".{target.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        shutil.rmtree(target, ignore_errors=True)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recipe.difficulty_calib.export", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("kind", choices=("sft", "lora"))
    parser.add_argument("run", type=Path, help="trainer.default_local_dir of the training")
    parser.add_argument("target", type=Path, help="directory to write")
    parser.add_argument(
        "--base", help="sft with LoRA: the model it was trained on, directory or hub name"
    )
    options = parser.parse_args()
    try:
        if options.kind == "sft":
            export_sft(options.run, options.target, options.base)
        else:
            export_lora(options.run, options.target)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.target}: from {verl_checkpoint.kept_checkpoint(options.run)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
