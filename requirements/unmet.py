"""Print the lines of a lock file that this environment does not hold whole.

    python requirements/unmet.py requirements/cpu.txt

A package is whole when its version is the locked one and every file that its RECORD names is
there. pip looks only at the version, so it takes a package for installed whose unpacking was
interrupted. Standard library only: it runs before anything is installed.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path


def canonical(name: str) -> str:
    """A distribution's name as the registries compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> Iterator[tuple[str, str]]:
    """The (canonical name, version) of each line of a lock file that is not a comment."""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, version = line.split("==")
            yield canonical(name.strip()), version.strip()


def is_whole(distribution: Distribution, version: str) -> bool:
    """Whether the version is this one (a local label such as ``+cpu`` aside) and no
    recorded file is missing.
    """
    if version not in (distribution.version, distribution.version.partition("+")[0]):
        return False
    # Compiled files come and go; scripts may have been recorded under another root when
    # an environment was moved.
    files = [
        file
        for file in distribution.files or ()
        if file.suffix != ".pyc" and ".." not in file.parts
    ]
    return bool(files) and all(Path(str(file.locate())).exists() for file in files)


def main(lock: Path) -> None:
    """Print one ``name==version`` a line; print nothing when all is there."""
    installed = {canonical(found.metadata["Name"] or ""): found for found in distributions()}
    for name, version in pins(lock):
        if name not in installed or not is_whole(installed[name], version):
            print(f"{name}=={version}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
