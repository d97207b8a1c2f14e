"""The walk through the source names files that exist, in an order in which each can be understood.

In ``docs/internals.md`` a heading names a folder, and the files behind it are relative to that.  A stop may import,
when it is loaded, only from stops before it; of files that the walk leaves out nothing is asked.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.sources import ROOT, files_in, module_of, name_of, text_of, tree_of

PAGE = ROOT / "docs" / "internals.md"
HEADING = re.compile(r"^## .*`([\w/]+/)`$")
FILE = re.compile(r"`([\w/]+\.(?:py|c|h))`")


def stops(text: str) -> list[str]:
    """Return the files of the walk, relative to the root, in order."""
    folder, found = "", []
    for line in text.partition("\n## How it works")[0].splitlines():
        heading = HEADING.match(line)
        if heading is not None:
            folder = heading[1]
        found += [name if name.startswith("_accel/") else folder + name for name in FILE.findall(line)]
    return found


def unexplained(path: Path, walk: list[str], place: int) -> list[str]:
    """Return the modules that *path*, the stop at *place*, imports when it is loaded, and that come later."""
    later = {module_of(ROOT / name) for name in walk[place + 1 :] if name.endswith(".py")}
    imported = [node.module for node in tree_of(path).body if isinstance(node, ast.ImportFrom)]
    return [module for module in imported if module in later]


def test_each_stop_of_the_walk_is_a_file() -> None:
    """Whoever follows the page finds what it speaks of."""
    walk = stops(text_of(PAGE))
    assert len(walk) > 60
    assert [name for name in walk if not (ROOT / name).is_file()] == []
    assert len(set(walk)) == len(walk), "a stop is named once"


def test_no_stop_of_the_walk_imports_what_is_explained_later() -> None:
    """The order is one in which the source can be read."""
    walk = stops(text_of(PAGE))
    wrong = {
        name: later
        for place, name in enumerate(walk)
        if name.endswith(".py") and (later := unexplained(ROOT / name, walk, place))
    }
    assert wrong == {}


def test_the_spine_of_the_loop_is_on_the_walk() -> None:
    """Nothing of the loop is left out but what stands beside it."""
    walk = set(stops(text_of(PAGE)))
    spine = {name_of(path) for path in files_in("reactor/core") if path.parent.name == "core"}
    assert spine - walk <= {"reactor/core/__init__.py"}
