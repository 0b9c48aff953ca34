"""The architecture, held by reading imports.

reward_fns is the leaf; data_prep, recipe and eval do not import each other, but for the two leaves
of data_prep that are public (a model behind one interface, the parquet rows);
no circle, of files or of rooms (the folders of a part).

Two kinds of imports hide from the interpreter, not from a reader, and count too: those for types
only (`if TYPE_CHECKING`), and those by a string (`import_module("data_prep.x")`, a table of such
names, an f-string that begins with one).
"""

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEAF = "reward_fns"
PARTS = ("data_prep", "recipe", "eval")
PUBLIC_LEAVES = ("data_prep.engines", "data_prep.verl_rows")
NEVER_IMPORTED = ("examples", "tests")
TOO_HEAVY_FOR_THE_LEAF = ("torch", "verl", "vllm", "transformers", "ray")
_PART = f"(?:{'|'.join((LEAF, *PARTS))})"
MODULE_IN_A_STRING = re.compile(rf"{_PART}(?:\.\w+)+")
START_OF_ONE = re.compile(rf"{_PART}\.(?:\w+\.)*")


def sources(root: Path) -> dict[str, Path]:
    """Dotted module name -> file, for every Python file of the four parts."""
    found = {}
    for part in (LEAF, *PARTS):
        for path in sorted((root / part).rglob("*.py")):
            names = path.relative_to(root).with_suffix("").parts
            found[".".join(names[:-1] if names[-1] == "__init__" else names)] = path
    return found


def imported_names(
    module: str, path: Path, *, only_at_import: bool = False, types: bool = False
) -> Iterator[str]:
    """Absolute dotted names that a file imports, with each ``from a import b`` given as ``a.b``.

    ``only_at_import`` leaves out what stands in functions, and but for ``types`` what stands under
    ``if TYPE_CHECKING``: it does not run at import.
    """
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"), filename=str(path))]
    while pending:
        node = pending.pop()
        if only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if only_at_import and not types and is_for_types(node):
            assert isinstance(node, ast.If)
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, node.module] if node.module else base)
            yield from (f"{prefix}.{alias.name}" for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def is_for_types(node: ast.AST) -> bool:
    """Whether the node is an ``if TYPE_CHECKING``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def names_in_strings(path: Path, known: Collection[str]) -> Iterator[str]:
    """Modules that a file names in a string, as `a.b`, as `a.b:Name`,
    or as the start of an f-string.

    An f-string's `a.b.{...}` stands for every module under `a.b`.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    starts = {id(node.values[0]) for node in joined if node.values}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        name, _, _ = node.value.partition(":")
        if id(node) in starts and START_OF_ONE.fullmatch(name):
            yield from (module for module in known if module.startswith(name))
        elif MODULE_IN_A_STRING.fullmatch(name):
            yield name


def under(name: str, package: str) -> bool:
    """Whether a dotted name is a package or in it."""
    return name == package or name.startswith(package + ".")


def violations(root: Path) -> list[str]:
    """One line for each import that goes the wrong way."""
    lines = []
    known = sources(root)
    for module, path in known.items():
        own = module.split(".")[0]
        own_leaf = next((leaf for leaf in PUBLIC_LEAVES if under(module, leaf)), None)
        forbidden = {*NEVER_IMPORTED, *PARTS} - {own}
        at_import = set(imported_names(module, path, only_at_import=True))
        for name in {*imported_names(module, path), *names_in_strings(path, known)}:
            top = name.split(".")[0]
            if own_leaf:
                # A public leaf imports the leaf below and itself,
                # or what imports it would drag its package along.
                wrong = top in {*NEVER_IMPORTED, *PARTS} and not under(name, own_leaf)
            else:
                wrong = top in forbidden and not any(under(name, leaf) for leaf in PUBLIC_LEAVES)
            if wrong or (own == LEAF and top in TOO_HEAVY_FOR_THE_LEAF and name in at_import):
                lines.append(f"{path.relative_to(root)} imports {name}")
    return sorted(lines)


def import_graph(root: Path) -> dict[str, set[str]]:
    """Module -> modules of ours that it imports at its top, for types too, or names in a string."""
    known = sources(root)
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        targets = set()
        names = {*imported_names(module, path, only_at_import=True, types=True)}
        for name in names | {*names_in_strings(path, known)}:
            # `from a.b import c` runs a.b.c where that is a module, else a.b, which holds c.
            target = next(
                (candidate for candidate in (name, name.rpartition(".")[0]) if candidate in known),
                None,
            )
            if target and target != module:
                targets.add(target)
        graph[module] = targets
    return graph


def cycles(graph: dict[str, set[str]]) -> list[str]:
    """Each circle met by a depth-first walk, as ``a -> b -> a``."""
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            found.append(" -> ".join([*trail[trail.index(module) :], module]))
            return
        if module in done:
            return
        for target in sorted(graph[module]):
            visit(target, [*trail, module])
        done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def room(module: str) -> str:
    """The folder or file right under a part that a module stands in:
    `eval.report.html.page` is in `eval.report`.
    """
    depth = 3 if under(module, "recipe.difficulty_calib") else 2
    return ".".join(module.split(".")[:depth])


def room_graph(graph: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Room -> rooms that its modules import."""
    rooms: dict[str, set[str]] = {room(module): set() for module in graph}
    for module, targets in graph.items():
        rooms[room(module)] |= {room(target) for target in targets} - {room(module)}
    return rooms


def test_imports_go_down_to_reward_fns_only() -> None:
    assert not violations(ROOT), "\n".join(violations(ROOT))


def test_no_import_cycle() -> None:
    assert not cycles(import_graph(ROOT))


def test_no_import_cycle_between_rooms() -> None:
    assert not cycles(room_graph(import_graph(ROOT)))


def test_a_planted_cycle_of_rooms_is_named(tmp_path: Path) -> None:
    for name in ("tables", "report"):
        (tmp_path / "eval" / name).mkdir(parents=True)
    (tmp_path / "eval/tables/a.py").write_text("import eval.report.values\n", encoding="utf-8")
    (tmp_path / "eval/report/values.py").touch()
    (tmp_path / "eval/report/page.py").write_text("import eval.tables.a\n", encoding="utf-8")
    assert cycles(import_graph(tmp_path)) == []
    assert cycles(room_graph(import_graph(tmp_path))) == [
        "eval.report -> eval.tables -> eval.report"
    ]


def test_all_four_parts_are_seen() -> None:
    assert {module.split(".")[0] for module in sources(ROOT)} == {LEAF, *PARTS}


def test_recipe_stays_a_namespace_shared_with_verl() -> None:
    assert not (ROOT / "recipe" / "__init__.py").exists()


def test_reward_fns_imports_where_there_is_no_torch_no_verl_and_nothing_else_of_ours() -> None:
    modules = [
        name
        for name in sources(ROOT)
        if name.split(".")[0] == LEAF and not name.endswith("__main__")
    ]
    blocked = (*TOO_HEAVY_FOR_THE_LEAF, *PARTS)
    code = (
        "import sys, importlib\n"
        # None in sys.modules makes the import raise
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("reward_fns/a.py", "import torch.nn", "reward_fns/a.py imports torch.nn"),
        ("reward_fns/a.py", "from eval import metrics", "reward_fns/a.py imports eval.metrics"),
        ("reward_fns/a.py", "def f():\n    from eval import x", "reward_fns/a.py imports eval.x"),
        (
            "data_prep/a.py",
            "from recipe.difficulty_calib import b",
            "data_prep/a.py imports recipe.difficulty_calib.b",
        ),
        (
            "recipe/difficulty_calib/a.py",
            "import data_prep",
            "recipe/difficulty_calib/a.py imports data_prep",
        ),
        (
            "data_prep/engines/a.py",
            "from data_prep import b",
            "data_prep/engines/a.py imports data_prep.b",
        ),
        (
            "data_prep/verl_rows.py",
            "import data_prep.engines",
            "data_prep/verl_rows.py imports data_prep.engines",
        ),
        ("eval/a.py", "from data_prep.enginesx import b", "eval/a.py imports data_prep.enginesx.b"),
        ("eval/a.py", "from tests.conftest import x", "eval/a.py imports tests.conftest.x"),
    ],
)
def test_a_planted_violation_is_named(tmp_path: Path, file: str, text: str, expected: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert violations(tmp_path) == [expected]


def test_what_the_leaf_imports_late_and_what_a_part_imports_of_the_leaf_are_allowed(
    tmp_path: Path,
) -> None:
    for part in (LEAF, "eval"):
        (tmp_path / part).mkdir()
    (tmp_path / "reward_fns/a.py").write_text("def f():\n    import verl\n", encoding="utf-8")
    (tmp_path / "eval/a.py").write_text(
        "import reward_fns.a\nimport torch\nfrom eval import b\nfrom data_prep.engines import c\n",
        encoding="utf-8",
    )
    assert violations(tmp_path) == []


def test_a_planted_cycle_is_named_and_a_late_import_breaks_it(tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/__init__.py").touch()
    (tmp_path / "eval/a.py").write_text("from .b import x\n", encoding="utf-8")
    (tmp_path / "eval/b.py").write_text("import eval.c\n", encoding="utf-8")
    (tmp_path / "eval/c.py").write_text("from eval import a\n", encoding="utf-8")
    assert cycles(import_graph(tmp_path)) == ["eval.a -> eval.b -> eval.c -> eval.a"]
    (tmp_path / "eval/c.py").write_text("def f():\n    from eval import a\n", encoding="utf-8")
    assert cycles(import_graph(tmp_path)) == []


HIDDEN = {
    "for types": "from typing import TYPE_CHECKING\n\n"
    "if TYPE_CHECKING:\n    from eval.b import X\n",
    "by a string": "import importlib\n\n\ndef f():\n    return importlib.import_module('eval.b')\n",
    "by a table": "READERS = {'b': 'eval.b:Reader'}\n",
    "by an f-string": "def f(name):\n    return __import__(f'eval.{name}')\n",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_cycle_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/a.py").write_text(text, encoding="utf-8")
    (tmp_path / "eval/b.py").write_text("import eval.a\n", encoding="utf-8")
    assert cycles(import_graph(tmp_path)) == ["eval.a -> eval.b -> eval.a"]


def test_a_string_that_goes_upward_is_named(tmp_path: Path) -> None:
    (tmp_path / "reward_fns").mkdir()
    (tmp_path / "reward_fns/a.py").write_text("EXPERT = 'data_prep.x:Y'\n", encoding="utf-8")
    assert violations(tmp_path) == ["reward_fns/a.py imports data_prep.x"]
