"""Words that do not belong in a finished text, and names that say nothing.

A note to do something later is a promise to nobody: it goes into an issue or it is done.  A file called after its
lack of an idea collects whatever has no home.  A path from somebody's machine works there only.

Read next: ``test_words.py``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.sources import dotted, imported_names

#: Put together here so that this file does not contain them.
PROMISES = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")

IDEALESS = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}

#: Home directories of Unix, macOS and Windows.
HOMES = re.compile(r"(?<![\w.}/])(/(?:home|root|Users)/|[A-Za-z]:\\+Users\b)")


def promises(text: str) -> list[str]:
    """Complain about each note that promises work for later."""
    return _lines_with(PROMISES, text, "do it, or describe it in an issue")


def machine_paths(text: str, *own: str) -> list[str]:
    """Complain about each path that exists on one machine only; *own* are paths of the machine at hand."""
    places = [re.escape(path) for path in own if path.count("/") > 1]
    pattern = re.compile("|".join([HOMES.pattern, *places]))
    return _lines_with(pattern, text, "a path of one machine: make it relative, or find it at run time")


def _lines_with(pattern: re.Pattern[str], text: str, advice: str) -> list[str]:
    return [
        f"line {number}: {match.group(0)!r}: {advice}"
        for number, line in enumerate(text.splitlines(), 1)
        if (match := pattern.search(line))
    ]


def idealess_name(path: Path) -> list[str]:
    """Complain about a file or folder that is called after its lack of an idea."""
    return [
        f"{path} has {part!r} in its name: name it after its one idea"
        for part in path.parts
        if set(part.partition(".")[0].lower().split("_")) & IDEALESS
    ]


def poor_tests(tree: ast.Module) -> list[str]:
    """Complain about tests that do not say in name and docstring what they expect, and about tests that sleep."""
    names = imported_names(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            if ast.get_docstring(node) is None:
                found.append(f"line {node.lineno}: {node.name} has no docstring: state the expected behaviour")
            if node.name.count("_") < 3:
                found.append(f"line {node.lineno}: {node.name}: name it test_<what happens>_<when>")
        elif isinstance(node, ast.Call) and dotted(node.func, names) == "time.sleep":
            found.append(f"line {node.lineno}: a test that sleeps is slow or wrong: inject the time")
    return found
