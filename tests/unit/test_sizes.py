"""Limits for readability: no file over 300 lines, no function over 40."""

import ast
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FOLDERS = ("api", "app", "benchmarks", "cli", "consumers", "tasks", "tests")
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 40


def sources(*suffixes: str) -> list[Path]:
    return [path for folder in FOLDERS for path in (PROJECT / folder).rglob("*") if path.suffix in suffixes]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_bytes())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_file_is_too_long() -> None:
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources(".py", ".lua")}
    assert len(lengths) > 100
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{path}: {each.name}": (each.end_lineno or 0) - each.lineno + 1 for path in sources(".py") for each in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION} == {}
