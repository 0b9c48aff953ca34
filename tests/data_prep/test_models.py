"""Model specs: directories, merged adapters in hub layout, and one clear error for each thing that is missing."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from data_prep.engines.models import prepare
from reward_fns.errors import UserError


@pytest.fixture
def model_copy(tiny_llava, tmp_path):
    return shutil.copytree(tiny_llava, tmp_path / "model")


def test_directory_in_hub_layout_is_used_as_it_is(tiny_llava, tmp_path):
    assert prepare(str(tiny_llava), tmp_path / "cache").path == tiny_llava
    assert not (tmp_path / "cache").exists()


def test_clip_weights_get_their_hub_names(tiny_llava, model_copy, tmp_path):
    weights = load_file(tiny_llava / "model.safetensors")
    short = {key.replace("vision_tower.vision_model.", "vision_tower."): value for key, value in weights.items()}
    assert short.keys() != weights.keys()
    save_file(short, model_copy / "model.safetensors")
    ready = prepare(str(model_copy), tmp_path / "cache")
    assert ready.path.parent == tmp_path / "cache"
    assert load_file(ready.path / "model.safetensors").keys() == weights.keys()
    assert {file.name for file in ready.path.iterdir()} == {file.name for file in model_copy.iterdir()}


def test_adapter_is_merged_onto_the_base(tiny_llava, lora_adapter, tmp_path):
    ready = prepare(f"{tiny_llava}+{lora_adapter}", tmp_path)
    base, merged = load_file(tiny_llava / "model.safetensors"), load_file(ready.path / "model.safetensors")
    lora = load_file(lora_adapter / "adapter_model.safetensors")
    assert merged.keys() == base.keys()
    # W' = W + (lora_alpha / r) B A, with lora_alpha / r = 32 / 4
    name = "language_model.model.layers.0.self_attn.q_proj.weight"
    b, a = (lora[f"base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_{x}.weight"] for x in "BA")
    assert (merged[name] - (base[name] + 8 * b @ a)).abs().max() < 1e-5
    changed = {key for key in base if not base[key].equal(merged[key])}
    assert {key.split(".")[-2] for key in changed} == {"q_proj", "v_proj", "down_proj"}
    assert not any(key.startswith("vision_tower") for key in changed)
    assert (ready.path / "processor_config.json").is_file() and (ready.path / "tokenizer.json").is_file()


def test_whole_merge_is_reused_and_follows_its_sources(tiny_llava, lora_adapter, tmp_path):
    adapter = shutil.copytree(lora_adapter, tmp_path / "adapter")
    first = prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache")
    stamp = (first.path / "model.safetensors").stat().st_mtime_ns
    again = prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache")
    assert again == first and (again.path / "model.safetensors").stat().st_mtime_ns == stamp
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({key: 2 * value for key, value in weights.items()}, adapter / "adapter_model.safetensors")
    assert prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache").path != first.path
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]


def test_missing_directory(tmp_path):
    with pytest.raises(UserError, match="no model directory .*nowhere"):
        prepare(str(tmp_path / "nowhere"), tmp_path)


def test_missing_processor(model_copy, tmp_path):
    (model_copy / "processor_config.json").unlink()
    with pytest.raises(UserError, match="no processor in"):
        prepare(str(model_copy), tmp_path)


@pytest.mark.parametrize(("file", "message"), [("config.json", "no config.json"), ("model.safetensors", "no weights")])
def test_incomplete_model(model_copy, tmp_path, file, message):
    (model_copy / file).unlink()
    with pytest.raises(UserError, match=message):
        prepare(str(model_copy), tmp_path)


def test_adapter_directory_without_an_adapter(tiny_llava, tmp_path):
    with pytest.raises(UserError, match="no adapter_config.json"):
        prepare(f"{tiny_llava}+{tmp_path}", tmp_path / "cache")


def test_adapter_with_a_weight_that_fits_nowhere(tiny_llava, lora_adapter, tmp_path):
    adapter = shutil.copytree(lora_adapter, tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    first = sorted(weights)[0]
    weights[first.replace("layers.0", "layers.9")] = weights[first].clone()
    save_file(weights, adapter / "adapter_model.safetensors")
    with pytest.raises(UserError, match="does not fit the base .*layers.9"):
        prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache")


def test_adapter_for_another_architecture(tiny_llava, lora_adapter, tmp_path):
    adapter = shutil.copytree(lora_adapter, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["c_attn"]}))
    with pytest.raises(UserError, match="does not fit the base"):
        prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache")
