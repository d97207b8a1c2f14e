"""``reactor demo``: it ends well by itself, and it ends badly when a single byte is wrong."""

from __future__ import annotations

import argparse
import os
import pty
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

import reactor
from reactor.cli import demo, demo_process
from reactor.cli.demo_clients import difference
from reactor.cli.demo_material import LARGE_SIZE, RANDOM_BYTES, random_material, readme_material, readme_text
from tests.cli.running import ROOT, command, environment, framings, run

pytestmark = pytest.mark.slow

FAULTY = demo_process.PROGRAM.partition("from reactor")[0]


def arguments(**changes: object) -> argparse.Namespace:
    """Return the arguments of a short demo on one poller."""
    chosen = {"connections": 30, "seconds": 0.3, "selector": None, "accel": "pure", **changes}
    return argparse.Namespace(**chosen)


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the table's rows."""
    return [line.split() for line in text.splitlines() if re.match(r"(epoll(\+pump)?|poll|select|kqueue) ", line)]


def test_the_demo_prints_a_row_for_each_poller_and_framing() -> None:
    """With the default number of clients; status 0 says that every byte came back."""
    ended = run("demo", "--seconds", "2")
    assert ended.status == 0
    pairs = [(poller, framing) for poller in reactor.available_pollers() for framing in framings()]
    if ("epoll", "native") in pairs:
        pairs[pairs.index(("epoll", "native"))] = ("epoll+pump", "native")
    assert [(row[0], row[1]) for row in rows_of(ended.stdout)] == pairs
    for row in rows_of(ended.stdout):
        connections, messages, rate = (int(cell.replace(",", "")) for cell in row[2:5])
        assert connections == demo.CONNECTIONS
        assert messages >= demo.CONNECTIONS * 16
        assert rate > 0
        assert float(row[5]) > 0
    assert "every byte of every reply was right" in ended.stdout


def test_the_demo_runs_wherever_it_is_started(tmp_path: Path) -> None:
    """The server process does not import what lies about in the working directory."""
    for name in ("json.py", "reactor.py", "signal.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from the working directory')\n", encoding="ascii")
    words = ["demo", "--seconds", "0.3", "--connections", "10", "--selector", "poll", "--accel", "pure"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "reactor", *words], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_demo_takes_fewer_clients_when_files_are_scarce() -> None:
    """It raises the soft limit as far as it may, and says what it does when that is not enough."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))

    ended = run("demo", "--seconds", "0.3", "--selector", "poll", "--accel", "pure", preexec_fn=limit)
    assert ended.status == 0
    assert "limited to 200: 136 connections instead of 500" in ended.stderr
    assert rows_of(ended.stdout)[0][2] == "136"


def test_the_demo_raises_the_soft_limit_when_it_may() -> None:
    """A low soft limit under a high hard one costs no client."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1000:
        pytest.skip("the hard limit is low here")
    ended = run("demo", "--seconds", "0.3", "--selector", "poll", "--accel", "pure", preexec_fn=limit)
    assert (ended.status, ended.stderr) == (0, "")
    assert rows_of(ended.stdout)[0][2] == str(demo.CONNECTIONS)


def test_progress_is_shown_to_a_person_and_to_nobody_else() -> None:
    """On a terminal a line is written over and over; the table is not disturbed."""
    ours, theirs = pty.openpty()
    words = command("demo", "--seconds", "0.5", "--connections", "10", "--selector", "poll", "--accel", "pure")
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        stdout, _ = process.communicate(timeout=30)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "\r" in shown
    assert "10 connections" in shown
    assert "\r" not in stdout


@pytest.mark.parametrize(
    ("fault", "texts"),
    [
        ("flipping", ["upper: a wrong reply", "different from byte 0"]),
        ("losing", ["upper: a wrong reply"]),
        ("dying", ["killed by signal 9"]),
        ("raising", ["ended with status 1"]),
    ],
)
def test_a_faulty_server_is_found_and_named(
    fault: str, texts: list[str], poller_name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """One wrong character among all replies, or a process that is gone: status 1, and one line that says which."""
    program = f"{FAULTY}from tests.cli.faulty_server import serve; serve({fault!r})"
    # The pytest process finds the tests by a setting of its own; the child is given its path.
    sys.path.insert(0, str(ROOT))
    try:
        status = demo.run(arguments(selector=poller_name), program)
    finally:
        sys.path.remove(str(ROOT))
    captured = capfd.readouterr()
    assert status == 1
    assert "every byte" not in captured.out
    for text in texts:
        assert text in captured.err


def test_a_server_that_stalls_is_given_up(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that never comes does not keep the demo forever."""
    monkeypatch.setattr(demo, "GIVE_UP", 1.0)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    program = f"{FAULTY}from tests.cli.faulty_server import serve; serve('stalling')"
    started = time.monotonic()
    assert demo.run(arguments(selector="poll"), program) == 1
    assert time.monotonic() - started < 10
    assert "did not answer every message in time" in capfd.readouterr().err


def test_a_server_process_that_is_stopped_is_killed_in_the_end(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not go when it is hung up on; the time that this takes is a part of the thirty seconds."""
    assert demo.GIVE_UP + demo.LEAST + 2 * demo_process.PATIENCE < 29
    monkeypatch.setattr(demo, "GIVE_UP", 1.0)
    monkeypatch.setattr(demo_process, "PATIENCE", 0.2)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    program = f"{FAULTY}from tests.cli.faulty_server import serve; serve('stopping')"
    assert demo.run(arguments(selector="poll"), program) == 1
    assert "did not answer every message in time" in capfd.readouterr().err


def test_a_server_that_cannot_start_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """Its own complaint, and its status."""
    assert demo.run(arguments(selector="poll"), "raise SystemExit('no server today')") == 1
    captured = capfd.readouterr()
    assert "no server today" in captured.err
    assert "ended with status 1" in captured.err


def test_the_readme_goes_out_line_by_line_and_comes_back_in_upper_case() -> None:
    """Empty lines included: an empty frame is a message."""
    material = readme_material()
    lines = readme_text().splitlines()
    assert b"\n".join(material.payloads[: material.size]).decode() == "\n".join(lines)
    assert b"\n".join(material.replies[: material.size]).decode() == "\n".join(lines).upper()
    assert b"" in material.payloads
    assert readme_text() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_random_bytes_are_a_megabyte_in_frames_of_all_sizes() -> None:
    """None at all, and more than one read returns, among them; another seed gives others."""
    material = random_material(1)
    payloads = material.payloads[: material.size]
    assert sum(map(len, payloads)) == RANDOM_BYTES
    assert min(map(len, payloads)) == 0
    assert max(map(len, payloads)) >= LARGE_SIZE
    assert material.payloads == material.replies
    assert random_material(2).payloads != material.payloads


@pytest.mark.parametrize(
    ("got", "wanted", "text"),
    [(b"abc", b"abd", "from byte 2"), (b"ab", b"abd", "from byte 2"), (b"", b"a", "from byte 0")],
)
def test_a_difference_is_told_with_its_place(got: bytes, wanted: bytes, text: str) -> None:
    """Whoever has to find the bug wants to know where."""
    assert text in difference(got, wanted)
