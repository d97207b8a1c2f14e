"""The guards around each test can fail: leaks are found and named, and a test that hangs is ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.house.sources import ROOT
from tests.leaks import Snapshot


def test_a_descriptor_is_reported_when_it_is_left_open() -> None:
    """The complaint says what it is open on, with the address if it is a socket."""
    before = Snapshot()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        [complaint] = before.complaints()
        assert f"descriptor {listener.fileno()} was left open" in complaint
        assert str(listener.getsockname()[1]) in complaint
    assert not before.complaints()


def test_a_descriptor_is_reported_when_somebody_else_closed_it() -> None:
    """To close a number twice is to close another's descriptor."""
    read_end, write_end = os.pipe()
    before = Snapshot()
    os.close(read_end)
    os.close(write_end)
    assert sorted("was closed" in complaint for complaint in before.complaints()) == [True, True]
    assert not before.complaints(also_lost=False)


def test_a_descriptor_is_reported_when_its_number_means_something_else_now() -> None:
    """The count is right, the number is right, and it is still another file."""
    read_end, write_end = os.pipe()
    before = Snapshot()
    os.close(read_end)
    other = os.open(os.devnull, os.O_RDONLY)
    try:
        assert other == read_end
        assert len(before.complaints()) == 1
    finally:
        os.close(other)
        os.close(write_end)


def test_a_thread_is_reported_when_nobody_ended_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name and its function lead to who started it."""
    monkeypatch.setattr("tests.leaks.THREAD_GRACE", 0.0)
    before, end = Snapshot(), threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten")
    thread.start()
    try:
        [complaint] = before.complaints()
        assert "'forgotten'" in complaint
    finally:
        end.set()
        thread.join()
    assert not before.complaints()


def test_a_signal_handler_is_reported_when_it_stays_installed() -> None:
    """Handlers and the wake-up descriptor belong to the process; a loop gives both back."""
    before = Snapshot()
    previous = signal.signal(signal.SIGUSR1, lambda signum, frame: None)
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        signal.set_wakeup_fd(left.fileno())
        said = " ".join(before.complaints())
    signal.signal(signal.SIGUSR1, previous)
    assert "SIGUSR1" in said
    assert "set_wakeup_fd" in said
    assert not before.complaints()


def test_a_child_is_reported_when_nobody_waited_for_it() -> None:
    """A zombie counts: it holds a process number until its parent asks."""
    before = Snapshot()
    child = os.posix_spawn("/bin/true", ["true"], {})
    assert "child" in " ".join(before.complaints())
    os.waitpid(child, 0)
    assert not before.complaints()


SAMPLE = '''
import os, select, pytest

@pytest.mark.deadline(0.05)
def test_hangs():
    with select.epoll() as poller:
        try:
            poller.poll()
        except Exception:
            pass

def test_leaks():
    os.pipe()

def test_is_fine(poller_name):
    assert poller_name
'''


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sample waits on epoll")
def test_the_guards_stand_around_every_test_when_pytest_runs(tmp_path: Path) -> None:
    """In a run of its own: a hang fails within its deadline, a leak is an error, and the rest passes."""
    sample = tmp_path / "test_sample.py"
    sample.write_text(SAMPLE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path), "-rA"]
    done = subprocess.run(
        [*command, "-p", "tests.conftest", str(sample)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "did not end within 0.05 s" in done.stdout
    assert "ERROR test_sample.py::test_leaks" in done.stdout
    assert "PASSED test_sample.py::test_is_fine[select]" in done.stdout
    assert "1 failed" in done.stdout
