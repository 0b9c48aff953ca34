"""What this machine has: CPUs as Ray counts them, memory, disk, shared memory, an AMD GPU."""

import os
import re
import shutil
from pathlib import Path

GIB = 1024**3


def cpus(root: Path = Path("/")) -> int:
    """CPUs that Ray will count: the machine's, or fewer where a container is held to fewer.

    The files of control groups are those that Ray reads (`ray._private.utils.get_num_cpus`).

    Args:
        root: the folder that holds ``sys/fs/cgroup``.
    """
    machine = os.cpu_count() or 1
    if os.environ.get("RAY_USE_MULTIPROCESSING_CPU_COUNT"):
        return machine
    groups = root / "sys/fs/cgroup"
    limits = [_quota(groups), _cpuset(_text(groups / "cpuset/cpuset.cpus"))]
    return max(1, int(min([limit for limit in limits if limit], default=machine)))


def _quota(groups: Path) -> float | None:
    first = _text(groups / "cpu/cpu.cfs_quota_us")
    if first:
        quota, period = first, _text(groups / "cpu/cpu.cfs_period_us")
    else:
        quota, _, period = _text(groups / "cpu.max").partition(" ")
    if not (quota.isdigit() and period.isdigit()):
        return None
    return max(1.0, int(quota) / int(period))


def _cpuset(text: str) -> int:
    """How many CPUs a list such as ``0-3,8`` names; 0 for an empty one."""
    count = 0
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        count += int(last or first) - int(first) + 1
    return count


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.is_file() else ""


def memory_gib(root: Path = Path("/")) -> float:
    """Main memory, GiB: the machine's, or the container's limit; 0 where it is not told."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    sizes = [int(found[1]) * 1024 / GIB] if found else []
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _text(root / "sys/fs/cgroup" / file)
        if limit.isdigit():
            sizes.append(int(limit) / GIB)
    return min(sizes, default=0.0)


def free_gib(folder: Path) -> float:
    """Free space, GiB, where the folder is or would be made."""
    return shutil.disk_usage(_existing(folder)).free / GIB


def size_gib(folder: Path) -> float:
    """Size, GiB, of the files in a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / GIB


def same_disk(one: Path, other: Path) -> bool:
    """Whether two folders, made or not, take from the same space."""
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def shared_memory_gib(folder: Path = Path("/dev/shm")) -> float:
    """Size, GiB, of the shared memory's file system; 0 where there is none."""
    return shutil.disk_usage(folder).total / GIB if folder.is_dir() else 0.0


def has_rocm(root: Path = Path("/")) -> bool:
    """Whether an AMD GPU's driver is loaded."""
    return (root / "dev/kfd").exists() or shutil.which("rocm-smi") is not None
