"""Files and functions stay small and say what they are, and each of these tests can fail.  See ``shape.py``."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import shape
from tests.house.sources import files_in, name_of, satisfied, text_of, tree_of

SOURCES = files_in("reactor", "_accel", "bench", "tests", "docs", "setup.py", ".ci", suffixes=(".py", ".c", ".h"))
PYTHON = [path for path in SOURCES if path.suffix == ".py"]
C = [path for path in SOURCES if path.suffix != ".py"]
SPOKEN = files_in("reactor", "_accel")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_file_is_longer_than_one_idea(path: Path) -> None:
    """A file has at most 400 lines."""
    satisfied(path, shape.too_long_file(text_of(path)))


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    """A function has at most 50 lines, its docstring not counted."""
    satisfied(path, shape.too_long_functions(tree_of(path)))


@pytest.mark.parametrize("path", C, ids=name_of)
def test_no_c_function_is_longer_than_a_screen(path: Path) -> None:
    """The same holds in C."""
    satisfied(path, shape.too_long_c_functions(text_of(path)))


def test_most_functions_of_the_package_are_short() -> None:
    """The median function has at most 10 lines, and nine of ten have at most 30."""
    lengths = [shape.length_of(node) for path in files_in("reactor") for node in shape.functions(tree_of(path))]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=10)[-1] <= 30


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


LONG_FUNCTION = "def f():\n" + "    pass\n" * 50
LONG_DOCSTRING = 'def f():\n    """' + "text\n" * 60 + '    """\n    pass\n'


@pytest.mark.parametrize(
    ("check", "sample"),
    [
        (shape.too_long_functions, LONG_FUNCTION),
        (shape.too_long_functions, "class C:\n    async " + LONG_FUNCTION.replace("\n", "\n    ")),
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
        (shape.too_long_functions, LONG_DOCSTRING),
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
        (shape.too_long_file, "x\n" * 401),
        (shape.too_long_c_functions, "int f(void)\n{\n" + "    ;\n" * 50 + "}\n"),
        (shape.too_long_c_functions, "static int f(int a,\n    int b) {\n" + "    ;\n" * 50 + "}\n"),
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
        (shape.too_long_file, "x\n" * 400),
        (shape.too_long_c_functions, "int f(void)\n{\n    ;\n}\n\nint a[] = {\n" + "    1,\n" * 60 + "};\n"),
        (shape.silent_c_file, "/* One,\n * two,\n * three. */\nint x;"),
        (shape.silent_c_file, "// One,\n// two,\n// three.\nint x;"),
    ],
)
def test_no_violation_is_reported_when_a_text_has_none(check: Callable[[str], list[str]], sample: str) -> None:
    """What the rule does not mean is left alone here as well."""
    assert not check(sample)
