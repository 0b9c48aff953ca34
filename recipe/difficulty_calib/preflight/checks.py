"""The lines of the preflight's table: what a run needs, what is here, whether it will do."""

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from recipe.difficulty_calib.preflight import gpus, machine, needs

ROOT = Path(__file__).resolve().parents[3]
#: CUDA's major version -> the oldest driver (CUDA Compatibility, minor version compatibility).
OLDEST_DRIVER = {12: "525.60.13", 13: "580.65.06"}
_BF16 = (8, 0)
_SHARED_MEMORY = "Docker: --shm-size=16g; Kubernetes: an emptyDir of medium Memory at /dev/shm"


@dataclass(frozen=True)
class Row:
    """One line; ``verdict`` is ok, warn (it may do) or no (it will not),
    with a remedy if not ok.
    """

    what: str
    needs: str
    has: str
    verdict: str = "ok"
    remedy: str = ""


@dataclass(frozen=True)
class Run:
    """What is about to be run, into ``out``; ``grpo``, ``sft``: Hydra's overrides of the stages."""

    profile: str
    model: str = ""
    out: str = ""
    train_rl: bool = True
    grpo: list[str] = field(default_factory=list)
    sft: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        return needs.parameters_of(self.model) if self.model else needs.LLAVA_PARAMETERS

    def gpus_a_node(self, seen: int) -> int:
        return needs.overridden("trainer.n_gpus_per_node", self.grpo, seen)


def pocket_rows() -> list[Row]:
    """The pocket profile: a CPU, 8 GiB of memory, 5 GiB of disk."""
    return [
        python_row(),
        _at_least("memory", 8, machine.memory_gib(), "warn", "close what else runs here"),
        _at_least(
            "disk", 1 if _installed() else 5, machine.free_gib(ROOT), "no", f"free some in {ROOT}"
        ),
        _at_least("/dev/shm", 1, machine.shared_memory_gib(), "warn", _SHARED_MEMORY),
    ]


def gpu_rows(run: Run) -> list[Row]:
    """A profile for GPUs, on those that ``CUDA_VISIBLE_DEVICES`` leaves visible."""
    try:
        devices = gpus.here()
    except gpus.NoDriverError as error:
        remedy = "install or load NVIDIA's driver, until `nvidia-smi` answers"
        return [python_row(), Row("GPU", "a driver that answers", str(error), "no", remedy)]
    if not devices:
        return [python_row(), _no_gpu_row()]
    count = run.gpus_a_node(len(devices))
    rows = [
        python_row(),
        _count_row(count, devices),
        driver_row(devices[0].driver, _wheels_cuda()),
        _capability_row(devices),
        memory_row(run, count, min(device.gib for device in devices)),
        batch_row(run, count, device_of(run, devices)),
        _host_row(run, count),
        *_disk_rows(run),
        _at_least("/dev/shm", 1 + count, machine.shared_memory_gib(), "no", _SHARED_MEMORY),
    ]
    if run.train_rl and "RAY_ADDRESS" not in os.environ:
        rows.insert(6, cpu_row(count, machine.cpus(), run.grpo))
    return rows


def python_row() -> Row:
    """This interpreter's version, which the environment will have."""
    version = sys.version_info[:2]
    good = (3, 11) <= version <= (3, 12)
    remedy = "install Python 3.11, or name one: DIFFICULTY_CALIB_PYTHON=/path/to/python3.11"
    return Row("Python", "3.11 or 3.12", ".".join(map(str, version)), *_verdict(good, "no", remedy))


def _no_gpu_row() -> Row:
    if machine.has_rocm():
        remedy = "the pinned wheels are for CUDA alone; PROFILE=pocket runs on the CPU"
        return Row("GPU", "NVIDIA", "AMD (ROCm)", "no", remedy)
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        remedy = "unset CUDA_VISIBLE_DEVICES or name a GPU of `nvidia-smi -L`; else PROFILE=pocket"
        return Row("GPU", "NVIDIA", f"none of CUDA_VISIBLE_DEVICES={hidden!r}", "no", remedy)
    return Row("GPU", "NVIDIA", "none (nvidia-smi)", "no", "PROFILE=pocket runs on the CPU")


def _count_row(count: int, devices: list[gpus.Device]) -> Row:
    has = f"{len(devices)} x {devices[0].name}"
    remedy = f"set trainer.n_gpus_per_node to {len(devices)} at most, or show more GPUs"
    return Row("GPUs", str(count), has, *_verdict(count <= len(devices), "no", remedy))


def _wheels_cuda() -> int | None:
    """Major version of the CUDA that the lock's wheels are built for."""
    lock = (ROOT / "requirements/gpu.txt").read_text(encoding="utf-8")
    found = re.search(r"^nvidia-cuda-runtime(?:-cu\d+)?==(\d+)\.", lock, re.MULTILINE)
    return int(found[1]) if found else None


def driver_row(driver: str, cuda: int | None) -> Row:
    """The driver against the CUDA of the wheels."""
    oldest = OLDEST_DRIVER.get(cuda or 0)
    if oldest is None or not re.match(r"\d+\.", driver):
        remedy = "compare `nvidia-smi` with requirements/gpu.txt yourself"
        return Row("driver", f"for CUDA {cuda or '?'}", driver or "not told", "warn", remedy)
    remedy = f"install driver {oldest} or newer (your administrator's work; the wheels bring CUDA)"
    good = _numbers(driver) >= _numbers(oldest)
    return Row("driver", f"{oldest} (CUDA {cuda})", driver, *_verdict(good, "no", remedy))


def _capability_row(devices: list[gpus.Device]) -> Row:
    told = min((device.capability for device in devices), key=_numbers)
    if not _numbers(told):
        return Row("bfloat16", "capability 8.0", "not told", "warn", "be sure of Ampere or newer")
    remedy = "use a GPU of Ampere (A100, RTX 30) or newer: bf16 is what the profile trains in"
    return Row("bfloat16", "capability 8.0", told, *_verdict(_numbers(told) >= _BF16, "no", remedy))


def memory_row(run: Run, count: int, card: float) -> Row:
    """The smallest card's memory, and the option of ``device`` that it allows."""
    if card == 0:
        remedy = "compare `nvidia-smi` with recipe/difficulty_calib/preflight/needs.py"
        return Row("GPU memory", "see the README", "not told", "warn", remedy)
    device = needs.device_for(card, run.parameters, count)
    offloaded = device in (None, "gpu_1x48")
    least = needs.card_gib(run.parameters, count, offloaded=offloaded)
    small = needs.card_gib(needs.LLAVA_PARAMETERS, 1, offloaded=True)
    remedy = (
        f"nothing smaller fits {run.parameters / 1e9:.1f} billion parameters: a card of 48 GB or "
        f"more ({small:.0f} GiB for LLaVA-1.5-7B), a smaller MODEL, or PROFILE=pocket"
    )
    has = f"{card:.0f} GiB" + (f", device={device}" if device else "")
    return Row("GPU memory", f"{least:.0f} GiB", has, *_verdict(bool(device), "no", remedy))


def device_of(run: Run, devices: list[gpus.Device]) -> str:
    """The option of ``device`` for these GPUs; where none fits or nothing is
    told, by their number.
    """
    card = min(device.gib for device in devices)
    chosen = needs.device_for(card, run.parameters, len(devices)) if card else None
    return chosen or ("gpu_8x80" if len(devices) >= 8 else "gpu_1x80")


def batch_row(run: Run, count: int, device: str) -> Row:
    """Batches that split over the GPUs of all nodes (GRPO) and of this one (SFT)."""
    sizes = needs.batches(run.profile, device, run.grpo, run.sft)
    world = count * needs.overridden("trainer.nnodes", run.grpo, 1)
    good = sizes.fits(count, grpo=False) and sizes.fits(world, run.train_rl)
    asked = f"SFT {sizes.sft}"
    if run.train_rl:
        asked = f"GRPO {sizes.mini} x {sizes.rollouts}, {asked}"
    remedy = needs.batch_remedy(sizes, world, run.train_rl)
    return Row("batches", f"{asked}: even", f"{world} GPUs", *_verdict(good, "no", remedy))


def cpu_row(count: int, have: int, overrides: list[str]) -> Row:
    """Ray's CPUs: with too few a run waits for ever and says nothing."""
    least = needs.ray_cpus(count, overrides)
    have = needs.overridden("ray_kwargs.ray_init.num_cpus", overrides, have)
    remedy = (
        "use fewer GPUs (CUDA_VISIBLE_DEVICES), or let them share the CPUs, which is slower: "
        f"after the script's name, ray_kwargs.ray_init.num_cpus={least}"
    )
    return Row("CPUs for Ray", str(least), str(have), *_verdict(have >= least, "no", remedy))


def _host_row(run: Run, count: int) -> Row:
    remedy = "use fewer GPUs (CUDA_VISIBLE_DEVICES), or a machine or job with more memory"
    least = needs.host_gib(run.parameters, count)
    return _at_least("memory", least, machine.memory_gib(), "warn", remedy)


def _disk_rows(run: Run) -> list[Row]:
    """The environment and the run in the repository, the base model in the hub's cache.

    A run: four merged models in bf16 and 12 GB of checkpoints (the table under Disk in the
    recipe's README), a little for records; less what is written, since the same command goes on.
    """
    copy = 2 * run.parameters / needs.GIB
    written = machine.size_gib(Path(run.out)) if run.out else 0.0
    here = (0 if _installed() else 21) + max(0.0, 4 * copy + 14 - written)
    hub = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cached = hub / "hub" / f"models--{run.model.replace('/', '--')}"
    fetched = 0.0 if Path(run.model or "-").is_dir() or cached.is_dir() else copy
    if fetched and machine.same_disk(hub, ROOT):
        here, fetched = here + fetched, 0.0
    rows = [_at_least("disk", here, machine.free_gib(ROOT), "no", f"free some in {ROOT}")]
    if fetched:
        remedy = f"free some in {hub}, or set HF_HOME"
        rows.append(_at_least("disk, model", fetched, machine.free_gib(hub), "no", remedy))
    return rows


def _at_least(what: str, least: float, has: float, otherwise: str, remedy: str) -> Row:
    verdict = _verdict(has >= least, otherwise, remedy)
    return Row(what, f"{least:.0f} GiB", f"{has:.1f} GiB", *verdict)


def _verdict(good: bool, otherwise: str, remedy: str) -> tuple[str, str]:
    return ("ok", "") if good else (otherwise, remedy)


def _installed() -> bool:
    return (ROOT / ".venv/.stamp").is_file()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
