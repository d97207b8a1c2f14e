"""What is wrong on this side is said before anybody is called, and in one line."""

from __future__ import annotations

import select
from pathlib import Path

import pytest

from reactor.errors import OptionError
from reactor.load.sizes import size_table
from tests.cli.running import Ended, run

#: Nobody listens there, so whatever is said of the network has been tried.
NOBODY = "127.0.0.1:1"

MISSING = "no-such-folder/file"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["call", NOBODY, "--json", "1", "nonsense"], 2, "not JSON"),
        (["call", NOBODY, "--mode", "line", "--file", "/dev/null"], 2, "nothing to send"),
        (["call", NOBODY, "--file", MISSING], 1, MISSING),
        (["send", NOBODY, MISSING], 1, f"{MISSING}: it cannot be read: No such file or directory (ENOENT)"),
        (["send", NOBODY, "/"], 2, "name"),
        (["load", NOBODY, "--json", MISSING], 1, f"{MISSING}: No such file or directory (ENOENT)"),
        (["load", NOBODY, "--json", MISSING, "--size", "x"], 2, "the size 'x' lacks a number"),
    ],
)
def test_what_is_wrong_here_is_said_before_anybody_is_called(
    words: list[str], status: int, text: str, tmp_path: Path
) -> None:
    """A refused connection hid the mistake, and a run of minutes went by before the file could not be written."""
    ended = run(*words, cwd=tmp_path)
    assert (ended.status, ended.stderr.count("\n")) == (status, 1), ended
    assert text in ended.stderr
    assert "refused" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read_are_told_beside_a_refused_connection(tmp_path: Path) -> None:
    """One of two is missing, so the server is called for the other."""
    (tmp_path / "here").write_bytes(b"abc")
    ended = run("send", NOBODY, "here", "gone", cwd=tmp_path)
    lines = ended.stderr.splitlines()
    assert (ended.status, len(lines)) == (1, 2), ended
    assert lines[0].startswith("reactor send: gone: it cannot be read: ")
    assert "refused" in lines[1]


def test_a_result_stays_when_a_plan_is_refused(tmp_path: Path) -> None:
    """The file is opened before the run, and what it holds is replaced by a result only."""
    file = tmp_path / "result.json"
    file.write_text("old", encoding="utf-8")
    assert run("load", "nowhere", "--json", str(file)).status == 2
    assert file.read_text(encoding="utf-8") == "old"
    ended = run("load", "unix:@nobody-listens-here", "--messages", "4", "--engine", "python", "--json", str(file))
    assert "INVALID" in ended.stdout
    assert file.read_text(encoding="utf-8").startswith("{")


@pytest.mark.skipif(hasattr(select, "kqueue"), reason="this system has it")
@pytest.mark.parametrize("words", [["demo"], ["serve", "echo", "--port", "0"], ["call", NOBODY, "x"]])
def test_a_poller_that_this_system_lacks_is_one_line(words: list[str]) -> None:
    """In the demo it was the traceback of a child."""
    ended: Ended = run(*words, "--selector", "kqueue")
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended
    assert "'kqueue': this system has" in ended.stderr


def test_a_quota_of_nothing_is_refused(tmp_path: Path) -> None:
    """Nothing could ever be kept."""
    ended = run("serve", "upload", "--port", "0", "--dir", ".", "--quota", "0", cwd=tmp_path)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "'0' is not a number of bytes" in ended.stderr


@pytest.mark.parametrize("spec", ["x", "", ",", "64,", "x3", "-", "1-", "~", "~/2"])
def test_a_size_without_a_number_is_answered_with_the_forms(spec: str) -> None:
    """It said that '' is not a number from 1 on."""
    with pytest.raises(OptionError, match=r"lacks a number: write 64"):
        size_table(spec, 1)
