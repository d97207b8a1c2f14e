"""The page of the articles and the programs that stand on it: complete, short, and each of them run by a test."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from tests.examples.running import EXAMPLES, PAGE, ROOT, run_example


def test_every_example_is_short_and_stands_on_the_page_and_in_a_test() -> None:
    """A program that nobody runs is not kept."""
    page = PAGE.read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == set(re.findall(r"\(examples/(\w+)\.py\)", page))
    for name in names:
        lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 60, name
        assert f'"{name}"' in tests, name


def test_the_page_has_all_the_rows_and_each_names_an_example_and_its_tests() -> None:
    """Twenty-two rows; what they point to exists."""
    rows = re.findall(r"^\| (S\d+) \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [number for number, _ in rows] == [f"S{number}" for number in range(1, 23)]
    for number, row in rows:
        assert re.search(r"\(examples/\w+\.py\)", row), number
        paths = re.findall(r"`(tests/[\w/.]+)`", row)
        assert paths, number
        for path in paths:
            assert (ROOT / path).exists(), path


def reads_arguments_without_asking(tree: ast.Module) -> bool:
    """Return True if a program takes ``sys.argv[1]`` and never looks whether it is there (``sys.argv[1:]``)."""
    taken = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    return "sys.argv[1]" in taken and "sys.argv[1:]" not in taken


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_that_needs_an_argument_says_so_when_there_is_none(name: str) -> None:
    """Its first lines, which are its usage, and not a traceback."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert not reads_arguments_without_asking(ast.parse(text))
    if re.search(rf"python {name}\.py [^\[\n]", text):  # an argument that is in no brackets is needed
        assert_shows_usage(name)


def assert_shows_usage(name: str, *arguments: str) -> None:
    """Its first lines, and nothing else, are told to a person, and the status is not 0."""
    done = run_example("poll", name, *arguments)
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    usage = ast.get_docstring(ast.parse(text)) or ""
    # The compiler of Python 3.13 takes the indentation out of a docstring; those before leave it in.
    assert (done.status, done.stdout, inspect.cleandoc(done.stderr)) == (1, "", usage)


#: The examples that take arguments, and what each takes for the number of a port.
TAKING = {
    path.stem: line[1]
    for path in sorted(EXAMPLES.glob("*.py"))
    if (line := re.search(rf"python {path.stem}\.py (.+)", path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("name", TAKING)
def test_an_example_shows_its_usage_when_it_is_asked_for_help(name: str) -> None:
    """It was a traceback: of int(), of a missing file, of an address that is none."""
    assert_shows_usage(name, "--help")


@pytest.mark.parametrize("name", [name for name, words in TAKING.items() if re.match(r"\[PORT\]|HOST:PORT", words)])
def test_an_example_shows_its_usage_when_its_port_is_no_number(name: str) -> None:
    """Whoever mistypes learns what to type."""
    assert_shows_usage(name, "localhost:http" if TAKING[name].startswith("HOST") else "http")
