"""No promises, no paths of one machine, no names without an idea, no tests that sleep.  See ``words.py``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.sources import ROOT, files_in, name_of, project_files, satisfied, text_of, tree_of
from tests.house.words import idealess_name, machine_paths, poor_tests, promises

TESTS = [path for path in files_in("tests", "bench") if path.name.startswith(("test_", "conftest"))]


@pytest.mark.parametrize("path", project_files(), ids=name_of)
def test_no_text_promises_work_for_later(path: Path) -> None:
    """What is left to do stands in an issue, not in a comment."""
    satisfied(path, promises(text_of(path)))


@pytest.mark.parametrize("path", [path for path in project_files() if path != Path(__file__)], ids=name_of)
def test_no_text_holds_a_path_of_one_machine(path: Path) -> None:
    """Neither a home directory nor the place of this checkout is written down anywhere."""
    satisfied(path, machine_paths(text_of(path), str(ROOT), str(Path.home())))


@pytest.mark.parametrize("path", project_files(), ids=name_of)
def test_no_file_is_named_after_its_lack_of_an_idea(path: Path) -> None:
    """There is no drawer for whatever has no home."""
    satisfied(path, idealess_name(path.relative_to(ROOT)))


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_each_test_states_what_it_expects_and_sleeps_never(path: Path) -> None:
    """Its name tells a story, its docstring the expected behaviour, and it waits for events, not for time."""
    satisfied(path, poor_tests(tree_of(path)))


def test_a_promise_is_reported_when_a_text_has_one() -> None:
    """The words are found as words, and only so."""
    assert len(promises("x = 1  # TO" + "DO: two")) == 1
    assert not promises("mastodon, to do")


@pytest.mark.parametrize(
    "text", ["open('/home/jo/x')", "`/root/x`", "cd /Users/jo", r"C:\Users\jo", "/mnt/checkout/reactor/core"]
)
def test_a_machine_path_is_reported_when_a_text_has_one(text: str) -> None:
    """Home directories of each system are found, and the places of this machine."""
    assert len(machine_paths(text, "/mnt/checkout")) == 1


@pytest.mark.parametrize("text", ["/run/reactor.sock", "~/.cache", "https://example.org/home/x", "a/root/b"])
def test_no_machine_path_is_reported_when_a_text_has_none(text: str) -> None:
    """Places that every machine has are free, and a short checkout path such as /tmp would match too much."""
    assert not machine_paths(text, "/tmp")


def test_a_name_is_reported_when_it_says_nothing() -> None:
    """Files and folders are looked at, and parts of names."""
    assert len(idealess_name(Path("reactor/socket_utils.py"))) == 1
    assert len(idealess_name(Path("tests/helpers/clock.py"))) == 1
    assert not idealess_name(Path("reactor/communal.py"))


@pytest.mark.parametrize(
    "sample",
    [
        "def test_it_works_when_asked():\n    pass",
        'def test_it():\n    """Works."""',
        "import time\ntime.sleep(1)",
        "from time import sleep as wait\nwait(1)",
    ],
)
def test_a_poor_test_is_reported_when_a_sample_has_one(sample: str) -> None:
    """A missing docstring, a name without a story, and each spelling of sleep."""
    assert len(poor_tests(ast.parse(sample))) == 1
