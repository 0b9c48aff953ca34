"""From verl's checkpoints to what everything else loads: a Hugging Face directory, and a peft LoRA adapter.

    python -m recipe.difficulty_calib.export sft  outputs/run/sft  outputs/run/models/sft
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
from pathlib import Path

_TRACKER = "latest_checkpointed_iteration.txt"


def newest_checkpoint(run: Path) -> Path:
    """``<run>/global_step_N`` of the newest whole checkpoint.

    Raises:
        ValueError: the run has none.
    """
    tracker = run / _TRACKER
    if not tracker.is_file():
        raise ValueError(f"no checkpoint in {run} ({_TRACKER} is missing): run the training stage first")
    checkpoint = run / f"global_step_{tracker.read_text().strip()}"
    if not checkpoint.is_dir():
        raise ValueError(f"{tracker} names {checkpoint.name}, which does not exist: delete {run} and train again")
    return checkpoint


def export_sft(run: Path, target: Path) -> None:
    """Copy the Hugging Face model that SFT saved (``checkpoint.save_contents`` has ``hf_model``)."""
    source = newest_checkpoint(run) / "huggingface"
    if not list(source.glob("*.safetensors")):
        raise ValueError(f"no weights in {source}: SFT ran without hf_model in checkpoint.save_contents")
    with _written_beside(target) as beside:
        shutil.copytree(source, beside, dirs_exist_ok=True)


def export_lora(run: Path, target: Path) -> None:
    """Write the newest checkpoint's LoRA adapter as peft loads it, with verl's own merger.

    The merger names the target modules by their last part (``q_proj``), which in LLaVA also matches the vision tower. The
    adapter's own weights say which modules it was trained on, so their full names are written instead.
    """
    from safetensors import safe_open

    actor = newest_checkpoint(run) / "actor"
    with _written_beside(target) as beside, tempfile.TemporaryDirectory(dir=target.parent) as merged:
        command = ["verl.model_merger", "merge", "--backend", "fsdp", "--local_dir", str(actor), "--target_dir", merged]
        subprocess.run([sys.executable, "-m", *command], check=True)
        adapter = Path(merged) / "lora_adapter"
        if not adapter.is_dir():
            raise ValueError(f"{actor} holds no LoRA adapter: it was trained with actor_rollout_ref.model.lora_rank=0")
        shutil.copytree(adapter, beside, dirs_exist_ok=True)
        with safe_open(beside / "adapter_model.safetensors", "np") as weights:
            modules = {key.removeprefix("base_model.model.").split(".lora_")[0] for key in weights.keys()}
        config = json.loads((beside / "adapter_config.json").read_text())
        config["target_modules"] = sorted(modules)
        (beside / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


class _written_beside:
    """A directory to fill that takes the target's place when the block ends well."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.beside = target.with_name(f".{target.name}.partial")

    def __enter__(self) -> Path:
        shutil.rmtree(self.beside, ignore_errors=True)
        self.beside.mkdir(parents=True)
        return self.beside

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is not None:
            shutil.rmtree(self.beside)
            return
        shutil.rmtree(self.target, ignore_errors=True)
        self.beside.rename(self.target)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m recipe.difficulty_calib.export", description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=("sft", "lora"))
    parser.add_argument("run", type=Path, help="trainer.default_local_dir of the training")
    parser.add_argument("target", type=Path, help="directory to write")
    options = parser.parse_args()
    try:
        (export_sft if options.kind == "sft" else export_lora)(options.run, options.target)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.target}: {newest_checkpoint(options.run).name} of {options.run}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
