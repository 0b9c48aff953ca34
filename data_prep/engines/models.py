"""Model specs, and the directory in hub layout that every engine loads.

    MODEL               a Hugging Face directory, or a name on the hub (org/model), fetched
                        into the hub's own cache
    BASE+ADAPTER        a peft LoRA adapter on a base
    CHECKPOINT          verl's, of full training: the run's directory, `global_step_N`
                        or the one with the shards
    BASE+CHECKPOINT     verl's, of LoRA training, on the model that it was trained on

What is not ready as it is becomes a copy in the cache: an adapter is merged, verl's shards are put
together, and CLIP weights that transformers >= 5.7 saved as `vision_tower.embeddings...` get the
hub's name `vision_tower.vision_model.embeddings...`. A copy is named after the content of its
sources, written beside and renamed, so one that exists is whole and is reused.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.engines import verl_checkpoint
from reward_fns.errors import UserError

_HUB_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".index.json")
_TOWER, _HUB_TOWER = "vision_tower.", "vision_tower.vision_model."


@dataclass(frozen=True)
class ReadyModel:
    """A directory that vLLM can load, and the hash of what it was made from."""

    path: Path
    fingerprint: str  # sha256 over weights and configuration, hex


def prepare(spec: str, cache: Path) -> ReadyModel:
    """Resolve a model spec; merged or renamed copies go to `cache/<fingerprint>`.

    Args:
        spec: see above.

    Raises:
        UserError: a directory, processor or adapter file is missing, the adapter does not fit the
            base, or a checkpoint cannot be merged.
    """
    base_text, plus, adapter_text = spec.rpartition("+")
    if not plus or Path(spec).is_dir():
        return _prepare_alone(located(spec), cache)
    base, adapter = located(base_text), located(adapter_text)
    _require_model(base)
    checkpoint = verl_checkpoint.find_checkpoint(adapter) if adapter.is_dir() else None
    if checkpoint is not None:
        if not verl_checkpoint.has_lora(checkpoint):
            raise UserError(
                f"{checkpoint} holds a whole model, no LoRA adapter: name it without a base"
            )

        def fill(out: Path) -> None:
            adapter = verl_checkpoint.write_adapter(checkpoint, out)
            merge_adapter(base, adapter, out)
            shutil.rmtree(adapter)

        return _made([*_files(base), *verl_checkpoint.sources(checkpoint)], cache, fill)
    if not (adapter / "adapter_config.json").is_file():
        raise UserError(
            f"no adapter_config.json in {adapter}: after the `+` name the directory of a peft "
            "LoRA adapter, or a checkpoint of verl's LoRA training"
        )
    return _made(
        [*_files(base), *_files(adapter)], cache, lambda out: merge_adapter(base, adapter, out)
    )


def located(text: str) -> Path:
    """The directory that a text names: itself, or the snapshot of a model on the hub.

    Raises:
        UserError: the hub does not give it.
    """
    if Path(text).exists() or not _HUB_REPOSITORY.fullmatch(text):
        return Path(text)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(text))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"no model directory {text}, and the hub does not give it ({reason})"
        ) from error


def _prepare_alone(path: Path, cache: Path) -> ReadyModel:
    checkpoint = verl_checkpoint.find_checkpoint(path) if path.is_dir() else None
    if checkpoint is None:
        return _prepare_directory(path, cache)
    if verl_checkpoint.has_lora(checkpoint):
        raise UserError(
            f"{checkpoint} holds a LoRA adapter: name the model it was trained "
            f"on too, as BASE+{path}"
        )
    if (model := verl_checkpoint.saved_model(checkpoint)) is not None:
        return _prepare_directory(model, cache)

    def fill(out: Path) -> None:
        verl_checkpoint.write_model(checkpoint, out)
        rename_to_hub(out)

    ready = _made(verl_checkpoint.sources(checkpoint), cache, fill)
    _require_model(ready.path)
    return ready


def _prepare_directory(path: Path, cache: Path) -> ReadyModel:
    _require_model(path)
    if not _needs_hub_names(path):
        return ReadyModel(path, _fingerprint(_files(path)))

    def fill(out: Path) -> None:
        shutil.copytree(path, out, dirs_exist_ok=True)
        rename_to_hub(out)

    return _made(_files(path), cache, fill)


def _made(files: Sequence[Path], cache: Path, fill: Callable[[Path], object]) -> ReadyModel:
    """The copy that `fill` makes from the files, or made before."""
    fingerprint = _fingerprint(files)
    target = cache / fingerprint[:16]
    if not target.is_dir():
        _write_directory(target, fill)
    return ReadyModel(target, fingerprint)


def _require_model(path: Path) -> None:
    if not path.is_dir():
        raise UserError(f"no model directory {path}: train or build it first, or mend the name")
    if not (path / "config.json").is_file():
        raise UserError(f"no config.json in {path}: name a Hugging Face model directory")
    if not any((path / name).is_file() for name in _PROCESSOR_FILES):
        raise UserError(
            f"no processor in {path} (neither {' nor '.join(_PROCESSOR_FILES)}): "
            "copy the processor files of the base model beside the weights"
        )
    if not any(path.glob("*.safetensors")):
        raise UserError(
            f"no weights (*.safetensors) in {path}: the model is not whole, make it again"
        )


def _files(directory: Path) -> list[Path]:
    """Weights, configuration, tokenizer, in a fixed order."""
    return sorted(
        file for file in directory.iterdir() if file.is_file() and not file.name.startswith(".")
    )


def _fingerprint(files: Sequence[Path]) -> str:
    """sha256 over names and contents."""
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            total.update(
                file.name.encode() + b"\0" + hashlib.file_digest(content, "sha256").digest()
            )
    return total.hexdigest()


def _write_directory(target: Path, fill: Callable[[Path], object]) -> None:
    """Call fill on a directory beside `target`, then rename it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        fill(beside)
        beside.chmod(0o755)
        os.rename(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def merge_adapter(base: Path, adapter: Path, out: Path, dtype: Any = None) -> None:
    """Write the base with a peft LoRA adapter merged in to `out`, in hub layout,
    with the base's other files.

    Args:
        dtype: of the merged weights: a torch dtype, or "auto" for the base's own. By default the
            base's own on a GPU; float32 without one, where everything runs in it and a small
            update must not be lost in a bf16 base.

    Raises:
        UserError: the adapter does not fit the base.
    """
    import torch
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict, load_peft_weights
    from transformers import AutoModelForImageTextToText

    dtype = dtype or ("auto" if torch.cuda.is_available() else torch.float32)
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=dtype)
    try:
        merged = PeftModel.from_pretrained(model, adapter)
        expected = get_peft_model_state_dict(merged).keys()
        given = load_peft_weights(str(adapter), device="cpu").keys()
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"the adapter {adapter} does not fit the base {base}: {reason}") from error
    if strangers := sorted(given ^ expected):  # peft only warns about weights that find no place
        raise UserError(
            f"the adapter {adapter} does not fit the base {base}: {len(strangers)} weights have "
            f"no counterpart, the first is {strangers[0]}"
        )
    merged.merge_and_unload().save_pretrained(out)
    for file in base.iterdir():
        if (
            file.is_file()
            and not file.name.endswith(_WEIGHT_SUFFIXES)
            and not (out / file.name).exists()
        ):
            shutil.copy(file, out / file.name)
    rename_to_hub(out)


def _has_clip_tower(path: Path) -> bool:
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return (config.get("vision_config") or {}).get("model_type") == "clip_vision_model"


def _hub_name(key: str) -> str:
    if key.startswith(_TOWER) and not key.startswith(_HUB_TOWER):
        return _HUB_TOWER + key.removeprefix(_TOWER)
    return key


def _needs_hub_names(path: Path) -> bool:
    from safetensors import safe_open

    if not _has_clip_tower(path):
        return False
    for file in path.glob("*.safetensors"):
        with safe_open(file, framework="np") as weights:
            if any(_hub_name(key) != key for key in weights.keys()):
                return True
    return False


def rename_to_hub(path: Path) -> None:
    """Give the CLIP weights of a directory their hub names, in place."""
    from safetensors.torch import load_file, save_file

    if not _has_clip_tower(path):
        return
    for file in path.glob("*.safetensors"):
        weights = {_hub_name(key): value for key, value in load_file(file).items()}
        save_file(weights, file, metadata={"format": "pt"})
    for index in path.glob("*.safetensors.index.json"):
        content = json.loads(index.read_text(encoding="utf-8"))
        content["weight_map"] = {
            _hub_name(key): file for key, file in content["weight_map"].items()
        }
        index.write_text(json.dumps(content, indent=2), encoding="utf-8")
