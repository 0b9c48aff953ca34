"""From verl's checkpoints to what everything else loads: a Hugging Face directory, and a peft LoRA adapter.

    python -m recipe.difficulty_calib.export sft  outputs/run/sft  outputs/run/models/sft --base MODEL
    python -m recipe.difficulty_calib.export lora outputs/run/grpo outputs/run/models/rl

Takes the newest whole checkpoint (``latest_checkpointed_iteration.txt``). Written beside and renamed, so a target that
exists is whole.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRACKER = "latest_checkpointed_iteration.txt"


def newest_checkpoint(run: Path) -> Path:
    """``<run>/global_step_N`` of the newest whole checkpoint.

    Raises:
        ValueError: the run has none.
    """
    tracker = run / _TRACKER
    if not tracker.is_file():
        raise ValueError(
            f"no checkpoint in {run} ({_TRACKER} is missing): run the training stage first"
        )
    checkpoint = run / f"global_step_{tracker.read_text().strip()}"
    if not checkpoint.is_dir():
        raise ValueError(
            f"{tracker} names {checkpoint.name}, which does not exist: delete {run} and train again"
        )
    return checkpoint


def export_sft(run: Path, target: Path, base: str | None = None) -> None:
    """Write the model that SFT trained: as verl saved it, or with its LoRA adapter merged into the base.

    Args:
        base: the model that SFT started from, directory or hub name; needed for a LoRA checkpoint. verl's merger would
            give it back in bfloat16, whatever its own precision.

    Raises:
        ValueError: no checkpoint, or one without what it takes to write a model.
    """
    checkpoint = newest_checkpoint(run)
    with _written_beside(target) as beside:
        if (checkpoint / "lora_train_meta.json").is_file():
            if base is None:
                raise ValueError(
                    f"{checkpoint} holds a LoRA adapter: name the model it was trained on with --base"
                )
            from peft import PeftModel
            from transformers import AutoModelForImageTextToText

            with _merged(checkpoint) as merged:
                model = AutoModelForImageTextToText.from_pretrained(base)
                model = PeftModel.from_pretrained(model, _adapter_of(merged)).merge_and_unload()
                _copy_all_but_weights(merged, beside)
                model.save_pretrained(beside)
            return
        if not list((checkpoint / "huggingface").glob("*.safetensors")):
            raise ValueError(
                f"no weights in {checkpoint / 'huggingface'}: SFT ran without hf_model in checkpoint.save_contents"
            )
        shutil.copytree(checkpoint / "huggingface", beside, dirs_exist_ok=True)


def export_lora(run: Path, target: Path) -> None:
    """Write the newest checkpoint's LoRA adapter as peft loads it, with verl's own merger."""
    with _written_beside(target) as beside, _merged(newest_checkpoint(run) / "actor") as merged:
        shutil.copytree(_adapter_of(merged), beside, dirs_exist_ok=True)


@contextmanager
def _merged(checkpoint: Path) -> Iterator[Path]:
    """A temporary directory with what verl's merger makes of a sharded checkpoint: base model and ``lora_adapter``."""
    with tempfile.TemporaryDirectory() as directory:
        command = [
            "verl.model_merger",
            "merge",
            "--backend",
            "fsdp",
            "--local_dir",
            str(checkpoint),
        ]
        subprocess.run([sys.executable, "-m", *command, "--target_dir", directory], check=True)
        yield Path(directory)


def _adapter_of(merged: Path) -> Path:
    """The adapter's directory, its target modules written out.

    The merger names them by their last part (``q_proj``), which in LLaVA matches the vision tower too. The adapter's
    own weights say which modules it was trained on.
    """
    from safetensors import safe_open

    adapter = merged / "lora_adapter"
    if not adapter.is_dir():
        raise ValueError("the checkpoint holds no LoRA adapter: it was trained with lora_rank=0")
    with safe_open(adapter / "adapter_model.safetensors", "np") as weights:
        modules = {
            key.removeprefix("base_model.model.").split(".lora_")[0] for key in weights.keys()
        }
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["target_modules"] = sorted(modules)
    (adapter / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return adapter


def _copy_all_but_weights(source: Path, target: Path) -> None:
    for file in source.iterdir():
        if file.is_file() and ".safetensors" not in file.name:
            shutil.copy(file, target / file.name)


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
        prog="python -m recipe.difficulty_calib.export", description=__doc__.split("\n")[0]
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
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.target}: {newest_checkpoint(options.run).name} of {options.run}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
