"""Whether a third party's code is the code that a change of ours was written for.

A version number says too much and too little: a release may leave a changed function as it was, or
rename it. `known.json` holds, for each function that we replace, wrap or override, the hash of its
text in every release that our change fits (verl 0.9.1 ran; 0.9.0 was read). The text is
taken from the installed file; nothing is imported.

    python -m recipe.difficulty_calib.patches.stock            # what is installed against the list
    python -m recipe.difficulty_calib.patches.stock --accept   # puts what is installed on the list

Accept another release once the recipe's tests have passed with it.
"""

import argparse
import ast
import functools
import hashlib
import json
import textwrap
from collections.abc import Iterable, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

#: Module -> name in it (``"function"``, ``"Class.method"``) -> release -> `source_hash`.
KNOWN = Path(__file__).with_name("known.json")


class UnsupportedVersionError(RuntimeError):
    """A change of ours met code of its target that nobody has tried it on."""


@functools.cache
def known() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """`KNOWN`, read once."""
    content: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads(
        KNOWN.read_text(encoding="utf-8")
    )
    return content


def check(module: str, name: str, what: str) -> None:
    """Raise `UnsupportedVersionError` unless a function's text is one that is known.

    Args:
        module: full name of its module.
        name: its name there, ``"function"`` or ``"Class.method"``.
        what: the change of ours, for the message.
    """
    hashes = known()[module][name]
    found = source_hash(module, name)
    if found in hashes.values():
        return
    package = module.partition(".")[0]
    state = "it is gone" if found is None else "it is another"
    raise UnsupportedVersionError(
        f"{what} is for {module}.{name} as {package} {' and '.join(hashes)} have it; here {state}: "
        f"install the pinned set (requirements/*.txt), or set VERL_USE_EXTERNAL_PLUGINS=none to "
        f"run without difficulty-calib"
    )


def check_all(touched: Mapping[str, Iterable[str]], what: str) -> None:
    """`check` for each name of each module."""
    for module, names in touched.items():
        for name in names:
            check(module, name, what)


@functools.cache
def source_hash(module: str, name: str) -> str | None:
    """First 16 hex digits of the SHA-256 of a function's or class's text, decorators included.

    The indentation of the whole and blanks at line ends do not count. None if there is no such
    module or name.

    Raises:
        UnsupportedVersionError: the package is not installed.
    """
    path = _file_of(module)
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    node: ast.AST | None = _parsed(text)
    for part in name.split("."):
        inside = getattr(node, "body", [])
        node = next((child for child in inside if getattr(child, "name", None) == part), None)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return None
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    plain = textwrap.dedent("\n".join(line.rstrip() for line in lines))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _file_of(module: str) -> Path | None:
    """A module's file, found from its package's folder: `find_spec` of the whole would import."""
    package, *rest = module.split(".")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedVersionError(f"{package} is not installed: run `bash examples/setup.sh`")
    for folder in spec.submodule_search_locations:
        stem = Path(folder, *rest)
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def main(accept: bool) -> None:
    """Print a line for each function; with ``accept`` add the installed release to `KNOWN`."""
    table = json.loads(KNOWN.read_text(encoding="utf-8"))
    for module, names in table.items():
        distributions = metadata.packages_distributions()[module.partition(".")[0]]
        release = metadata.version(distributions[0]).partition("+")[0]
        for name, hashes in names.items():
            found = source_hash(module, name)
            verdict = "known" if found in hashes.values() else "NOT KNOWN"
            print(f"{verdict:10s} {module}.{name}: {found}, release {release}")
            if accept and found is not None:
                hashes[release] = found
    if accept:
        KNOWN.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accept", action="store_true", help="add the installed release")
    main(parser.parse_args().accept)
