"""One class name stands for one thing, the line opens no files, and libraries are used by their public names."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "tradebot"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules(folder: Path) -> list[tuple[str, ast.Module]]:
    return [(str(path.relative_to(PACKAGE)), parsed(path)) for path in sorted(folder.rglob("*.py"))]


def test_no_two_modules_have_a_class_of_one_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for module, tree in modules(PACKAGE):
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_the_line_opens_no_file() -> None:
    calls = [
        f"{module}:{node.lineno}"
        for part in ("model", "pipeline")
        for module, tree in modules(PACKAGE / part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "input", "print"}
    ]
    assert calls == []


def test_private_names_of_libraries_are_imported_only_where_a_benchmark_says_why() -> None:
    found = {
        module
        for module, tree in modules(PACKAGE)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(("tradebot", "__future__"))
        for name in (*node.module.split("."), *(alias.name for alias in node.names))
        if name.startswith("_")
    }
    assert found == {"venues/hyperliquid/sign.py"}, "see python -m benchmarks private"
