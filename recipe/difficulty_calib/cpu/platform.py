"""verl's platform interface for a host without accelerators: one logical device, the CPU.

Chosen by ``VERL_PLATFORM=cpu``. Ray hands the device out as a logical ``GPU``
(``ray_init.num_gpus=1``), because verl's resource pools know no other name; weights go from the
trainer to vLLM through POSIX shared memory, not device IPC.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry


class _CpuDeviceId(str):
    """The id of the one device: ``"cpu"`` where a device is wanted, ``0`` where it is
    formatted as an index.
    """

    def __new__(cls) -> "_CpuDeviceId":
        return super().__new__(cls, "cpu")

    def __format__(self, format_spec: str) -> str:
        return "0"


_DEVICE_ID = _CpuDeviceId()


class CpuDeviceModule(ModuleType):
    """`torch.cpu` with the calls that verl makes on `torch.cuda` whether or not there is a GPU.

    Memory figures are 0 (verl logs them), `mem_get_info` tells the host's memory,
    caches have nothing to empty.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> str:
        return _DEVICE_ID

    @staticmethod
    def get_device_name(device: Any = None) -> str:
        return "CPU"

    @staticmethod
    def mem_get_info(device: Any = None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    @staticmethod
    def get_rng_state(device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    @staticmethod
    def set_rng_state(state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    @staticmethod
    def manual_seed(seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    @staticmethod
    def _nothing(*args: Any, **kwargs: Any) -> None:
        """There is nothing to do on the CPU."""

    set_device = synchronize = empty_cache = ipc_collect = _nothing
    reset_peak_memory_stats = reset_accumulated_memory_stats = set_per_process_memory_fraction = (
        _nothing
    )

    @staticmethod
    def _no_bytes(*args: Any, **kwargs: Any) -> int:
        return 0

    memory_allocated = memory_reserved = max_memory_allocated = max_memory_reserved = _no_bytes


_DEVICE_MODULE = CpuDeviceModule("torch.cpu")


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """verl on the CPU."""

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> ModuleType:
        return _DEVICE_MODULE

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        # Never by auto-detection: a GPU node whose driver is broken must not train
        # on the CPU without a word.
        return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"

    def current_device(self) -> Any:
        return _DEVICE_ID

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int | None = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None
