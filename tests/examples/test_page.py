"""The page of the articles and the programs that stand on it: complete, short, and each of them run by a test."""

from __future__ import annotations

import re
from pathlib import Path

from tests.examples.running import EXAMPLES, PAGE, ROOT


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
