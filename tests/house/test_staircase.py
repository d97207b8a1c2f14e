"""The imports of the package form a staircase, and the test of that can fail.  The table is in ``staircase.py``."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.house.sources import PACKAGE, files_in, module_of, name_of, satisfied, tree_of
from tests.house.staircase import FLOORS, missing_step, steps_up

MODULES = files_in("reactor")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_file_has_a_step_of_its_own(path: Path) -> None:
    """The table names every file of the package: its author decided where it stands."""
    satisfied(path, missing_step(module_of(path)))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_goes_up_or_sideways(path: Path) -> None:
    """A file imports only from lower floors and from files before it in its own group."""
    satisfied(path, steps_up(module_of(path), tree_of(path), is_package=path.name == "__init__.py"))


def test_the_table_names_nothing_twice_and_nothing_that_is_not_there() -> None:
    """A row without a file is a leftover, or a spelling mistake that lets its file go unchecked."""
    rows = [prefix + file for groups in FLOORS for prefix, files in groups.items() for file in files.split()]
    missing = [row for row in rows if not row.endswith("*") and not (PACKAGE / f"{row}.py").exists()]
    assert not missing, "remove these from FLOORS in tests/house/staircase.py"
    assert [row for row, count in Counter(rows).items() if count > 1] == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reactor.core.loop", "from reactor.core.timers import Timers"),
        ("reactor.core.loop", "from reactor import errors"),
        ("reactor.core.loop", "import reactor.errors"),
        ("reactor.core.loop", "from .timers import Timers"),
        ("reactor.net.stream.stream", "from reactor.framing.codec import Codec"),
        ("reactor", "from reactor.net.reactor import Reactor"),
        ("reactor.cli.main", "import reactor"),
        ("reactor.cli.main", "from reactor.cli import demo"),
        ("reactor.errors", "import errno"),
        ("reactor.net.protocol", "if TYPE_CHECKING:\n    from reactor.net.stream.stream import Stream"),
    ],
)
def test_an_import_is_allowed_when_it_goes_down(module: str, line: str) -> None:
    """What the rule allows is not complained about, in each spelling that Python has for it."""
    assert not steps_up(module, ast.parse(line), is_package=module == "reactor")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reactor.core.timers", "from reactor.core.loop import Loop"),
        ("reactor.core.timers", "from reactor.core import loop"),
        ("reactor.core.timers", "import reactor.core.loop"),
        ("reactor.core.timers", "from . import loop"),
        ("reactor.core.timers", "from reactor.core import Loop"),
        ("reactor.core.timers", "def f():\n    from reactor.core.loop import Loop"),
        ("reactor.core.timers", "if TYPE_CHECKING:\n    from reactor.core.loop import Loop"),
        ("reactor.core.timers", "from reactor.core.timers import Timers"),
        ("reactor.core.loop", "from reactor.framing.codec import Codec"),
        ("reactor.framing.codec", "from reactor.core.loop import Loop"),
        ("reactor.net.stream.stream", "from reactor.net import Reactor"),
        ("reactor.framing.codec", "from reactor import flow"),
        ("reactor.net.stream.stream", "import reactor"),
        ("reactor.net.protocol", "from reactor.net.stream.stream import Stream"),
        ("reactor.net.protocol", "if TYPE_CHECKING:\n    from reactor.net.stream.stream import buffers_of"),
        ("reactor.net.stream.stream", "from reactor.cli.main import main"),
        ("reactor.net.stream.stream", "from reactor.net.shelf import Shelf"),
    ],
)
def test_an_import_is_reported_when_it_goes_up_or_sideways(module: str, line: str) -> None:
    """Each way around the rule is seen: lazily, for types only, relatively, through the package."""
    assert len(steps_up(module, ast.parse(line))) == 1


def test_a_file_is_reported_when_it_is_not_in_the_table() -> None:
    """The message names the file to change."""
    [complaint] = missing_step("reactor.core.shelf")
    assert "tests/house/staircase.py" in complaint
