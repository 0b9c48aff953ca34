"""What the source looks like in numbers, whole and by part;
CONTRIBUTING.md has them beside other projects'.

python tests/benchmarks/code_shape.py
"""

import ast
import io
import tokenize
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("reward_fns", "data_prep", "recipe", "eval")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its docstring left out."""
    first = function.body[0]
    docstring = ast.get_docstring(function, clean=False) is not None
    without = first.end_lineno - first.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - without


def measured(files: list[Path]) -> dict[str, str]:
    """Name of each number -> its value, as shown."""
    texts = [file.read_text(encoding="utf-8") for file in files]
    lines = [line for text in texts for line in text.splitlines()]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    functions = sorted(body_lines(node) for node in nodes if isinstance(node, FUNCTIONS))
    comprehensions = [node for node in nodes if isinstance(node, COMPREHENSIONS)]
    nested = sum(is_nested(node) for node in comprehensions)
    sizes = [text.count("\n") for text in texts]
    comments = sum(map(comment_lines, texts))
    long = sum(len(line) > 100 for line in lines)
    untyped = sum(text.count("dict[str, Any]") for text in texts)
    return {
        "median / largest file": f"{median(sizes):.0f} / {max(sizes)}",
        "median / p90 function": f"{median(functions):.0f} / {quantiles(functions, n=10)[-1]:.0f}",
        "comment lines, %": f"{100 * comments / len(lines):.1f}",
        "lines over 100 characters, %": f"{100 * long / len(lines):.1f}",
        "comprehensions per 100 lines": f"{100 * len(comprehensions) / len(lines):.1f}",
        "nested ones per 100 lines": f"{100 * nested / len(lines):.2f}",
        "dict[str, Any] per 1,000 lines": f"{1000 * untyped / len(lines):.1f}",
    }


def is_nested(comprehension: ast.AST) -> bool:
    """Whether another comprehension stands in it."""
    inner = (node for node in ast.walk(comprehension) if node is not comprehension)
    return any(isinstance(node, COMPREHENSIONS) for node in inner)


def comment_lines(text: str) -> int:
    """Lines that hold a comment, alone or behind code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


def main() -> None:
    files = {part: sorted((ROOT / part).rglob("*.py")) for part in PARTS}
    columns = {"all": [file for of_part in files.values() for file in of_part], **files}
    shown = {name: measured(of_name) for name, of_name in columns.items()}
    print(f"{'':32}" + "".join(f"{name:>12}" for name in shown))
    for number in shown["all"]:
        print(f"{number:32}" + "".join(f"{values[number]:>12}" for values in shown.values()))


if __name__ == "__main__":
    main()
