"""Model specs: directories, merged adapters in hub layout,
and one clear error for each thing that is missing.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from data_prep.engines import verl_checkpoint
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
    short = {
        key.replace("vision_tower.vision_model.", "vision_tower."): value
        for key, value in weights.items()
    }
    assert short.keys() != weights.keys()
    save_file(short, model_copy / "model.safetensors")
    ready = prepare(str(model_copy), tmp_path / "cache")
    assert ready.path.parent == tmp_path / "cache"
    assert load_file(ready.path / "model.safetensors").keys() == weights.keys()
    assert {file.name for file in ready.path.iterdir()} == {
        file.name for file in model_copy.iterdir()
    }


def test_adapter_is_merged_onto_the_base(tiny_llava, lora_adapter, tmp_path):
    ready = prepare(f"{tiny_llava}+{lora_adapter}", tmp_path)
    base, merged = (
        load_file(tiny_llava / "model.safetensors"),
        load_file(ready.path / "model.safetensors"),
    )
    lora = load_file(lora_adapter / "adapter_model.safetensors")
    assert merged.keys() == base.keys()
    # W' = W + (lora_alpha / r) B A, with lora_alpha / r = 32 / 4
    name = "language_model.model.layers.0.self_attn.q_proj.weight"
    b, a = (
        lora[f"base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_{x}.weight"]
        for x in "BA"
    )
    assert (merged[name] - (base[name] + 8 * b @ a)).abs().max() < 1e-5
    changed = {key for key in base if not base[key].equal(merged[key])}
    assert {key.split(".")[-2] for key in changed} == {"q_proj", "v_proj", "down_proj"}
    assert not any(key.startswith("vision_tower") for key in changed)
    assert (ready.path / "processor_config.json").is_file() and (
        ready.path / "tokenizer.json"
    ).is_file()


def test_whole_merge_is_reused_and_follows_its_sources(tiny_llava, lora_adapter, tmp_path):
    adapter = shutil.copytree(lora_adapter, tmp_path / "adapter")
    first = prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache")
    stamp = (first.path / "model.safetensors").stat().st_mtime_ns
    again = prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache")
    assert again == first and (again.path / "model.safetensors").stat().st_mtime_ns == stamp
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {key: 2 * value for key, value in weights.items()}, adapter / "adapter_model.safetensors"
    )
    assert prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache").path != first.path
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]


def test_missing_directory(tmp_path):
    with pytest.raises(UserError, match="no model directory .*nowhere"):
        prepare(str(tmp_path / "nowhere"), tmp_path)


def test_missing_processor(model_copy, tmp_path):
    (model_copy / "processor_config.json").unlink()
    with pytest.raises(UserError, match="no processor in"):
        prepare(str(model_copy), tmp_path)


@pytest.mark.parametrize(
    ("file", "message"), [("config.json", "no config.json"), ("model.safetensors", "no weights")]
)
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
    (adapter / "adapter_config.json").write_text(
        json.dumps(config | {"target_modules": ["c_attn"]})
    )
    with pytest.raises(UserError, match="does not fit the base"):
        prepare(f"{tiny_llava}+{adapter}", tmp_path / "cache")


@pytest.fixture
def run(tiny_llava, tmp_path):
    """`run(shards, lora)` writes what verl leaves after RL:
    tracker, and actor/ with one shard and a processor.
    """

    def write(shards, lora=False):
        actor = tmp_path / "run" / "global_step_3" / "actor"
        shutil.copytree(
            tiny_llava, actor / "huggingface", ignore=shutil.ignore_patterns("*.safetensors")
        )
        torch.save(shards, actor / "model_world_size_1_rank_0.pt")
        torch.save({}, actor / "optim_world_size_1_rank_0.pt")
        (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 1}))
        (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text("3")
        if lora:
            (actor / "lora_train_meta.json").write_text(
                json.dumps({"r": 4, "lora_alpha": 32, "task_type": "CAUSAL_LM"})
            )
        return tmp_path / "run"

    return write


def test_verl_full_checkpoint_is_put_together(tiny_llava, run, tmp_path):
    state = AutoModelForImageTextToText.from_pretrained(
        tiny_llava, dtype=torch.float32
    ).state_dict()
    ready = prepare(str(run(state)), tmp_path / "cache")
    weights, expected = (
        load_file(ready.path / "model.safetensors"),
        load_file(tiny_llava / "model.safetensors"),
    )
    assert weights.keys() == expected.keys()  # the hub's names
    assert all(weights[key].equal(expected[key].bfloat16()) for key in expected)
    assert (ready.path / "processor_config.json").is_file()
    # The directory of the step and that of the shards are the same model.
    for path in (tmp_path / "run" / "global_step_3", tmp_path / "run" / "global_step_3" / "actor"):
        assert prepare(str(path), tmp_path / "cache") == ready


def test_verl_lora_checkpoint_on_its_base_is_the_adapter_on_its_base(
    tiny_llava, lora_adapter, run, tmp_path
):
    base = AutoModelForImageTextToText.from_pretrained(tiny_llava, dtype=torch.float32)
    path = run(PeftModel.from_pretrained(base, lora_adapter).state_dict(), lora=True)
    ready = prepare(f"{tiny_llava}+{path}", tmp_path / "cache")
    direct = prepare(f"{tiny_llava}+{lora_adapter}", tmp_path / "cache")
    ours, theirs = (load_file(model.path / "model.safetensors") for model in (ready, direct))
    base = load_file(tiny_llava / "model.safetensors")
    changed = {key for key in base if not ours[key].equal(base[key])}
    assert changed == {key for key in base if not theirs[key].equal(base[key])} and changed
    for key in changed:  # the merger rounds A and B to bfloat16: 8 bits of mantissa
        step = (theirs[key] - base[key]).abs().max()
        assert (ours[key] - theirs[key]).abs().max() < 0.02 * step
    with pytest.raises(
        UserError, match=r"holds a LoRA adapter: name the model it was trained on too, as BASE\+"
    ):
        prepare(str(path), tmp_path / "cache")


def test_a_checkpoint_of_the_adapter_alone_gives_what_one_with_the_base_gives(
    tiny_llava, lora_adapter, run, tmp_path
):
    base = AutoModelForImageTextToText.from_pretrained(tiny_llava, dtype=torch.float32)
    state = PeftModel.from_pretrained(base, lora_adapter).state_dict()
    written = []
    for name, shards in (
        ("whole", state),
        ("alone", {key: value for key, value in state.items() if "lora_" in key}),
    ):
        checkpoint = verl_checkpoint.kept_checkpoint(run(shards, lora=True))
        written.append(verl_checkpoint.write_adapter(checkpoint, tmp_path / name))
        # No base beside it: 14 GB of a 7B model.
        assert [path.name for path in (tmp_path / name).iterdir()] == ["lora_adapter"]
        shutil.rmtree(tmp_path / "run")
    whole, alone = (load_file(path / "adapter_model.safetensors") for path in written)
    assert (
        whole.keys() == alone.keys() == load_file(lora_adapter / "adapter_model.safetensors").keys()
    )
    assert all(whole[key].equal(alone[key]) for key in whole)
    configs = [(path / "adapter_config.json").read_text() for path in written]
    assert configs[0] == configs[1]
    assert all("language_model" in name for name in json.loads(configs[0])["target_modules"])


def test_a_merge_needs_no_room_but_in_the_cache(tiny_llava, lora_adapter, run, tmp_path):
    made: list[str] = []
    sys.addaudithook(lambda event, given: event == "tempfile.mkdtemp" and made.append(given[0]))
    base = AutoModelForImageTextToText.from_pretrained(tiny_llava, dtype=torch.float32)
    path = run(PeftModel.from_pretrained(base, lora_adapter).state_dict(), lora=True)
    made.clear()
    ready = prepare(f"{tiny_llava}+{path}", tmp_path / "cache")
    assert made and all(Path(folder).parent == tmp_path / "cache" for folder in made)
    assert not (ready.path / "lora_adapter").exists()


def test_weights_that_verl_saved_whole_are_used_as_they_are(tiny_llava, run, tmp_path):
    actor = run({}) / "global_step_3" / "actor"
    shutil.copy(tiny_llava / "model.safetensors", actor / "huggingface")
    assert prepare(str(tmp_path / "run"), tmp_path / "cache").path == actor / "huggingface"


def test_whole_checkpoint_takes_no_base(tiny_llava, run, tmp_path):
    with pytest.raises(UserError, match="holds a whole model, no LoRA adapter"):
        prepare(f"{tiny_llava}+{run({})}", tmp_path / "cache")


def test_newest_checkpoint_that_is_gone(run, tmp_path):
    path = run({})
    shutil.rmtree(path / "global_step_3")
    with pytest.raises(UserError, match="names global_step_3, which does not exist"):
        prepare(str(path), tmp_path / "cache")


def test_shards_that_cannot_be_merged_end_with_one_line(run, tmp_path):
    path = run({})
    (path / "global_step_3" / "actor" / "model_world_size_1_rank_0.pt").write_bytes(b"torn")
    with pytest.raises(
        UserError, match="rank_0.pt is no checkpoint that torch wrote .*is the checkpoint whole"
    ) as caught:
        prepare(str(path), tmp_path / "cache")
    assert "\n" not in str(caught.value) and not list((tmp_path / "cache").iterdir())


def test_what_is_trusted_and_cannot_be_merged_ends_with_one_line_too(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFICULTY_CALIB_TRUST_CHECKPOINT", "1")
    path = run({})
    (path / "global_step_3" / "actor" / "model_world_size_1_rank_0.pt").write_bytes(b"torn")
    with pytest.raises(
        UserError, match="verl's merger failed on .*is the checkpoint whole"
    ) as caught:
        prepare(str(path), tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_a_model_directory_is_no_checkpoint(tiny_llava):
    assert verl_checkpoint.find_checkpoint(tiny_llava) is None


def test_a_name_on_the_hub_is_looked_up_there_and_named_when_the_hub_does_not_answer(tmp_path):
    with pytest.raises(
        UserError, match="no model directory nobody/no-such-model, and the hub does not give it"
    ):
        prepare("nobody/no-such-model", tmp_path)  # offline in tests
