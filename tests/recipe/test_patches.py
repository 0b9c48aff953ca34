"""Each patch on its own: what it changes, and that it refuses a version it does not know."""

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.difficulty_calib import plugin
from recipe.difficulty_calib.patches import Patch, UnsupportedVersionError, package_version
from recipe.difficulty_calib.patches.cpu_process_group import without_duplicates
from recipe.difficulty_calib.patches.llava_image_tokens import collapse_image_tokens

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
    patch.check_versions()
    assert patch.reason
    importlib.import_module(patch.module)


def test_an_unknown_version_is_refused_by_name():
    patch = Patch("test patch", "json", {"verl": "==0.8.0"}, "a test", lambda module: None)
    with pytest.raises(
        UnsupportedVersionError,
        match=r"'test patch' is for verl==0\.8\.0, but verl 0\.9\.1 is installed",
    ):
        patch.check_versions()


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
