"""The project's own files, and how the house rules look at them: as text, and as syntax trees.

Read next: ``staircase.py``, ``shape.py``, ``seams.py`` and ``words.py``.  Each is a handful of checks, and each
check is a function from a source to a list of complaints, so that it can be tried on a sample that breaks it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "reactor"

#: Made by tools, not by us.
NOT_OURS = {"build", "dist", "corpus", "results", "site", "venv", "node_modules"}

#: What is read as text.
SUFFIXES = {"", ".c", ".cfg", ".css", ".h", ".html", ".in", ".js", ".md", ".py", ".sh", ".toml", ".txt", ".yml"}


@cache
def project_files() -> tuple[Path, ...]:
    """Return every text file that belongs to the project, sorted."""
    return tuple(sorted(_walk(ROOT)))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        hidden = path.name.startswith(".") and path.name not in (".ci", ".gitignore")
        if hidden or path.name in NOT_OURS or path.name.endswith((".egg-info", "__pycache__")):
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.suffix in SUFFIXES:
            yield path


def files_in(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    """Return the project's files with one of *suffixes* in *folders*, which are relative to the root."""
    roots = [ROOT / folder for folder in folders]
    return [
        path
        for path in project_files()
        if path.suffix in suffixes and any(root == path or root in path.parents for root in roots)
    ]


def name_of(path: Path) -> str:
    """Return how a message or a test's name calls *path*."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """Return the dotted name under which *path* is imported."""
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def text_of(path: Path) -> str:
    """Return the text of *path*."""
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of *path*."""
    return ast.parse(text_of(path), str(path))


def satisfied(path: Path, complaints: list[str]) -> None:
    """Fail the test with the *complaints* about *path*, if there are any."""
    if complaints:
        pytest.fail("\n  ".join([f"{name_of(path)}:", *complaints]), pytrace=False)


def imports(tree: ast.Module, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the line and the full dotted name of everything that *module* imports, wherever it does so.

    ``from a.b import c`` gives ``a.b.c``: whether c is a module or a name in one is for the caller to find out.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = _base_of(node, module, is_package)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def is_for_types(node: ast.stmt) -> bool:
    """Return True if *node* is ``if TYPE_CHECKING``: no program comes to what is in it."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def lines_for_types(tree: ast.Module) -> set[int]:
    """Return the lines of *tree* that only a type checker comes to."""
    return {
        line
        for node in tree.body
        if isinstance(node, ast.If) and is_for_types(node)
        for part in node.body
        for line in range(part.lineno, (part.end_lineno or part.lineno) + 1)
    }


def _base_of(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """Return what an import is relative to: one dot is the package that the module is in."""
    if not node.level:
        return node.module or ""
    up = node.level - 1 if is_package else node.level
    parts = module.split(".")
    base = ".".join(parts[: len(parts) - up])
    return f"{base}.{node.module}" if node.module else base


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: ``import select as s`` gives ``{"s": "select"}``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.split(".")[0]
                names[alias.asname or full] = full
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """Return the full name that ``s.epoll`` stands for, or None if the root of the expression was not imported."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, names)
        return f"{base}.{node.attr}" if base else None
    return None
