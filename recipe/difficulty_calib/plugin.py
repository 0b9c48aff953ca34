"""verl's entry point into this project (group ``verl.plugins``) and vLLM's (group
``vllm.general_plugins``).

verl imports this module in every process: driver, Ray workers, vLLM servers. Importing it registers

- the patches for LLaVA, on any device, and those for the CPU when
  ``VERL_PLATFORM=cpu`` (see `patches`),
- the CPU platform, when ``VERL_PLATFORM=cpu``; a run on the CPU then listens on the
  loopback interface alone,
- the trainer and the reward manager ``difficulty_guided``, each as soon as verl's
  own registry is imported.

It also keeps warnings audible (`keep_warnings`).

verl swallows an `Exception` that a plugin raises while it loads and goes on without the plugin: it
would train LLaVA without images. So code that a patch does not know ends the process, here, with
one line that says how to go on.
"""

import importlib
import os
import sys
from collections.abc import Callable, MutableMapping
from types import ModuleType

import wrapt

from recipe.difficulty_calib.patches import (
    Patch,
    UnsupportedVersionError,
    cpu_linear_weights,
    cpu_loopback,
    cpu_offload,
    cpu_process_group,
    cpu_vllm_distribution,
    install,
    llava_image_tokens,
    llava_processor,
    llava_weight_names,
    lora_seed,
    placeholders_in_actor,
    placeholders_in_rollouts,
    shared_memory_names,
)

LLAVA_PATCHES = (
    llava_processor.PATCH,
    llava_image_tokens.PATCH,
    llava_weight_names.PATCH,
    placeholders_in_rollouts.PATCH,
    placeholders_in_actor.PATCH,
)
RUN_PATCHES = (
    shared_memory_names.PATCH,
    shared_memory_names.SEMAPHORES,
    shared_memory_names.LOKY,
    lora_seed.PATCH,
)
CPU_PATCHES = (
    cpu_vllm_distribution.PATCH,
    cpu_process_group.PATCH,
    cpu_linear_weights.PATCH,
    cpu_offload.PATCH,
    cpu_loopback.RAY_PATCH,
    cpu_loopback.TORCH_PATCH,
)

#: Module of verl -> module of ours that registers something in it.
REGISTRATIONS = {
    "verl.trainer.ppo.v1.trainer_sync": "recipe.difficulty_calib.trainer",
    "verl.experimental.reward_loop.reward_manager": "recipe.difficulty_calib.reward_manager",
}


def on_cpu() -> bool:
    """Whether this process is told to run verl without an accelerator."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def register_in_vllm() -> None:
    """For vLLM outside verl (evaluation, `vllm serve`): importing this module has
    done all there is to do.
    """


def patches() -> tuple[Patch, ...]:
    """Those of this process's device."""
    return LLAVA_PATCHES + RUN_PATCHES + (CPU_PATCHES if on_cpu() else ())


def check_patches() -> None:
    """Raise `UnsupportedVersionError` for the first patch whose target is not what it is for."""
    for patch in patches():
        patch.check()


def keep_warnings(environment: MutableMapping[str, str]) -> None:
    """Leave the root logger at WARNING, unless the user names a level.

    vLLM's server imports ``model_hosting_container_standards``, which raises it and its handlers
    to ERROR in any process: the reward's warnings, that a verdict is paid for again for one, would
    be seen nowhere in training.
    """
    name = "SAGEMAKER_CONTAINER_LOG_LEVEL"
    if not environment.get(name) and not environment.get("LOG_LEVEL"):  # which it reads as well
        environment[name] = "WARNING"


def _register() -> None:
    keep_warnings(os.environ)
    if "verl" in sys.modules:
        # Not in a vLLM that runs alone (evaluation): it needs no verl, and each patch checks again.
        try:
            check_patches()
        except UnsupportedVersionError as error:
            sys.exit(f"error: difficulty-calib: {error}")
    for patch in patches():
        install(patch)
    for theirs, ours in REGISTRATIONS.items():
        wrapt.register_post_import_hook(_import_when_seen(ours), theirs)
    if on_cpu():
        cpu_loopback.set_addresses()
        wrapt.register_post_import_hook(
            _import_when_seen("recipe.difficulty_calib.cpu.platform"), "verl.plugin.platform"
        )


def _import_when_seen(module_name: str) -> Callable[[ModuleType], None]:
    def on_import(module: ModuleType) -> None:
        importlib.import_module(module_name)

    return on_import


_register()
