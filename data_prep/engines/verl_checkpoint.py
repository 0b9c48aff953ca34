"""verl's FSDP checkpoints as models: where one lies, and what verl's own merger makes of it.

    RUN/latest_checkpointed_iteration.txt       names the newest whole checkpoint
    RUN/selection.json                          GRPO with validations: names the chosen one (ours)
    RUN/global_step_N/                          SFT: the shards; RL: actor/ with the shards
        huggingface/                            configuration, processor; the weights too, if
                                                hf_model was saved
        lora_train_meta.json                    LoRA was trained: the shards' base is that of
                                                the training

A full checkpoint without weights in `huggingface/` goes through `python -m verl.model_merger`, a
LoRA adapter through `verl_adapter`, whether the base was saved with it or not
(`save_lora_only`). Both give bfloat16.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from data_prep.engines.pickled_shards import check_shards
from reward_fns.errors import UserError
from reward_fns.files import read_mapping

SELECTION = "selection.json"
_TRACKER = "latest_checkpointed_iteration.txt"
_LORA = "lora_train_meta.json"
_SHARDS = "model_world_size_*.pt"


def step_folder(run: Path, step: int | str) -> Path:
    """Where a run's checkpoint of a step lies."""
    return run / f"global_step_{step}"


def saved_steps(run: Path) -> list[int]:
    """The steps that a run has checkpoints of, ascending."""
    names = [folder.name.removeprefix("global_step_") for folder in run.glob("global_step_*")]
    return sorted(int(name) for name in names if name.isdecimal())


def find_checkpoint(path: Path) -> Path | None:
    """The directory of the shards, given a run, a `global_step_N` or that directory;
    None if it is none of them.

    Raises:
        UserError: the run's checkpoint does not exist.
    """
    if (path / _TRACKER).is_file():
        path = _kept(path)
    for candidate in (path / "actor", path):
        if (candidate / "huggingface").is_dir() and (
            list(candidate.glob(_SHARDS)) or saved_model(candidate)
        ):
            return candidate
    return None


def _kept(run: Path) -> Path:
    """The chosen checkpoint of a run that chose one, else the newest."""
    tracker, selection = run / _TRACKER, run / SELECTION
    source, step = tracker, tracker.read_text(encoding="utf-8").strip()
    if selection.is_file() and (chosen := read_mapping(selection).get("chosen")) is not None:
        source, step = selection, chosen
    folder = step_folder(run, step)
    if not folder.is_dir():
        raise UserError(
            f"{source} names {folder.name}, which does not exist: name another "
            "global_step_N directory"
        )
    return folder


def kept_checkpoint(path: Path) -> Path:
    """The directory of the shards of a run's chosen checkpoint, or its newest if none was chosen;
    or of the `global_step_N` that is named.

    Raises:
        UserError: there is none.
    """
    checkpoint = find_checkpoint(path)
    if checkpoint is not None:
        return checkpoint
    if (path / _TRACKER).is_file():
        raise UserError(f"the checkpoint of {path} is not whole: delete it and train again")
    raise UserError(
        f"no checkpoint in {path} ({_TRACKER} is missing): run the training stage first"
    )


def has_lora(checkpoint: Path) -> bool:
    """Whether the checkpoint's weights are a LoRA adapter."""
    return (checkpoint / _LORA).is_file()


def saved_model(checkpoint: Path) -> Path | None:
    """The whole model that verl saved beside the shards, if it did."""
    model = checkpoint / "huggingface"
    return model if not has_lora(checkpoint) and list(model.glob("*.safetensors")) else None


def sources(checkpoint: Path) -> list[Path]:
    """The files that the model is made from: without the optimizer's."""
    names = (_SHARDS, _LORA, "huggingface/*")
    return sorted(file for name in names for file in checkpoint.glob(name) if file.is_file())


def write_model(checkpoint: Path, out: Path) -> None:
    """The whole model of a checkpoint without LoRA, in bfloat16, with its processor.

    Raises:
        UserError: the shards would run code (`pickled_shards`), or the merger failed.
    """
    _merge("verl.model_merger", checkpoint, out)
    copy_processor(checkpoint, out)


def write_adapter(checkpoint: Path, out: Path) -> Path:
    """The LoRA adapter of a checkpoint as peft loads it: `out/lora_adapter`, which is returned.

    Raises:
        UserError: the checkpoint holds none, or the merger failed.
    """
    if not has_lora(checkpoint):
        raise UserError(f"{checkpoint} holds no LoRA adapter: it was trained with lora_rank=0")
    _merge("data_prep.engines.verl_adapter", checkpoint, out)
    adapter = out / "lora_adapter"
    _name_modules(adapter)
    return adapter


def _merge(merger: str, checkpoint: Path, out: Path) -> None:
    """Run a merger module: what it writes goes to `out` alone, so that a disk with room for
    the result is enough.
    """
    check_shards(sorted(checkpoint.glob(_SHARDS)))
    command = [sys.executable, "-m", merger, "merge", "--backend", "fsdp"]
    command += ["--local_dir", str(checkpoint), "--target_dir", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"verl's merger failed on {checkpoint} ({reason}): is the checkpoint whole?"
        )


def copy_processor(checkpoint: Path, target: Path) -> None:
    """Add the checkpoint's processor and tokenizer files that `target` lacks."""
    for file in (checkpoint / "huggingface").iterdir():
        weights = ".safetensors" in file.name
        if file.is_file() and not weights and not (target / file.name).exists():
            shutil.copy(file, target / file.name)


def _name_modules(adapter: Path) -> None:
    """Write the adapter's target modules out in full.

    The merger names them by their last part (`q_proj`), which in LLaVA matches the vision tower
    too. The adapter's own weights say which modules it was trained on.
    """
    from safetensors import safe_open

    with safe_open(adapter / "adapter_model.safetensors", "np") as weights:
        modules = {
            key.removeprefix("base_model.model.").split(".lora_")[0] for key in weights.keys()
        }
    file = adapter / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(
        json.dumps(config | {"target_modules": sorted(modules)}, indent=2) + "\n", encoding="utf-8"
    )
