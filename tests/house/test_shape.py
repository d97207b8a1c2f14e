"""Files and names say what they are, objects stay small, and each of these tests can fail.  See ``shape.py``."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import shape
from tests.house.sources import files_in, name_of, satisfied, text_of, tree_of

C = files_in("reactor", "_accel", "bench", "tests", "docs", suffixes=(".c", ".h"))
SPOKEN = files_in("reactor", "_accel")


@pytest.mark.parametrize("path", SPOKEN, ids=name_of)
def test_each_module_opens_with_its_idea(path: Path) -> None:
    """A module docstring has at least three lines."""
    satisfied(path, shape.silent_module(tree_of(path)))


@pytest.mark.parametrize("path", C, ids=name_of)
def test_each_c_file_opens_with_its_idea(path: Path) -> None:
    """So has the comment at the head of a C file."""
    satisfied(path, shape.silent_c_file(text_of(path)))


@pytest.mark.parametrize("path", SPOKEN, ids=name_of)
def test_each_public_name_has_a_docstring(path: Path) -> None:
    """Classes, functions and methods that a user may call say what they do."""
    satisfied(path, shape.silent_names(tree_of(path)))


@pytest.mark.parametrize("path", files_in("reactor/core", "reactor/net"), ids=name_of)
def test_each_class_of_core_and_net_has_slots(path: Path) -> None:
    """No object that may exist once per connection carries a dictionary."""
    satisfied(path, shape.slotless_classes(tree_of(path)))


@pytest.mark.parametrize(
    ("check", "sample"),
    [
        (shape.silent_module, "x = 1"),
        (shape.silent_module, '"""One line."""'),
        (shape.silent_names, "def f(): ..."),
        (shape.silent_names, 'class C:\n    """Text."""\n    def m(self): ...'),
        (shape.silent_names, 'class C(Protocol):\n    """Text."""\n    def m(self): return 1'),
        (shape.silent_names, "if True:\n    class C: ..."),
        (shape.slotless_classes, "class C: ..."),
        (shape.slotless_classes, "from typing import Generic\nclass C(Generic[T]): ..."),
        (shape.slotless_classes, "def f():\n    class C(Base): ..."),
    ],
)
def test_a_violation_is_reported_when_a_sample_has_one(
    check: Callable[[ast.Module], list[str]], sample: str
) -> None:
    """Each check on syntax trees finds its one complaint."""
    assert len(check(ast.parse(sample))) == 1


@pytest.mark.parametrize(
    ("check", "sample"),
    [
        (shape.silent_module, '"""One.\n\nTwo, three.\n"""'),
        (shape.silent_names, "def _f(): ...\nclass _C:\n    def m(self): ..."),
        (shape.silent_names, 'class C(Protocol):\n    """Text."""\n    def m(self): ...'),
        (shape.silent_names, 'def f():\n    """Text."""\n    def inner(): ...'),
        (shape.slotless_classes, "class C:\n    __slots__ = ()"),
        (shape.slotless_classes, "class C:\n    __slots__: tuple[str, ...] = ()"),
        (shape.slotless_classes, "from typing import Protocol\nclass C(Protocol[T]): ..."),
        (shape.slotless_classes, "class C(ValueError): ..."),
    ],
)
def test_no_violation_is_reported_when_a_sample_has_none(
    check: Callable[[ast.Module], list[str]], sample: str
) -> None:
    """What the rule does not mean is left alone."""
    assert not check(ast.parse(sample))


@pytest.mark.parametrize(
    ("check", "sample"),
    [
        (shape.silent_c_file, "int x;"),
        (shape.silent_c_file, "/* One line. */\nint x;"),
    ],
)
def test_a_violation_is_reported_when_a_text_has_one(check: Callable[[str], list[str]], sample: str) -> None:
    """Each check on plain text finds its one complaint."""
    assert len(check(sample)) == 1


@pytest.mark.parametrize(
    ("check", "sample"),
    [
        (shape.silent_c_file, "/* One,\n * two,\n * three. */\nint x;"),
        (shape.silent_c_file, "// One,\n// two,\n// three.\nint x;"),
    ],
)
def test_no_violation_is_reported_when_a_text_has_none(check: Callable[[str], list[str]], sample: str) -> None:
    """What the rule does not mean is left alone here as well."""
    assert not check(sample)
