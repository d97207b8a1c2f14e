"""A server is replaced while clients connect without a pause, and none of them is refused or left without answer.

Real processes, one after the other, and plain blocking clients: one connection after the other, from two threads.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import PATIENCE, ROOT, environment

pytestmark = pytest.mark.slow

#: Servers that follow each other.
GENERATIONS = 4


class Crowd:
    """Clients that connect for as long as they may, and note who answered."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.answers: list[int] = []
        self.failures: list[Any] = []
        self.is_over = False
        self.news = threading.Condition()
        self.threads = [threading.Thread(target=self.connect) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def connect(self) -> None:
        """Connect, read to the end, and again."""
        while not self.is_over:
            try:
                with socket.create_connection(self.address, timeout=PATIENCE) as client:
                    answer = b""
                    while chunk := client.recv(100):
                        answer += chunk
                with self.news:
                    self.answers.append(int(answer))
                    self.news.notify()
            except (OSError, ValueError) as exc:
                with self.news:
                    self.failures.append(exc)
                    self.news.notify()

    def wait_for(self, pid: int) -> None:
        """Return when *pid* has answered, and go on."""
        with self.news:
            goal = self.answers.count(pid) + 20
            assert self.news.wait_for(lambda: self.failures or self.answers.count(pid) >= goal, PATIENCE)
        assert self.failures == []

    def end(self) -> None:
        """Connect no more."""
        self.is_over = True
        for thread in self.threads:
            thread.join(PATIENCE)


def start(way: str, path: str) -> subprocess.Popen[str]:
    """Start a generation."""
    words = [sys.executable, "-m", "tests.service.generations", way, path]
    return subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)


def told_by(process: subprocess.Popen[str]) -> tuple[tuple[str, int], int]:
    """Return where the process says that it listens, and who says so."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on "), line
    address, _, pid = line.removeprefix("listening on ").rpartition(": ")
    return (address.rpartition(":")[0], int(address.rpartition(":")[2])), int(pid)


def test_nobody_is_refused_when_the_socket_is_passed_on(tmp_path: Path) -> None:
    """Each new server takes the socket of the one before, which ends by itself when its last client has gone."""
    path = str(tmp_path / "handover")
    processes = [start("handover", path)]
    address, pid = told_by(processes[0])
    crowd = Crowd(address)
    counts = []
    try:
        crowd.wait_for(pid)
        for _ in range(GENERATIONS - 1):
            processes.append(start("handover", path))
            assert told_by(processes[-1])[0] == address
            counts.append(processes[-2].communicate(timeout=PATIENCE)[0])
            crowd.wait_for(processes[-1].pid)
    finally:
        crowd.end()
        processes[-1].send_signal(signal.SIGTERM)
        counts.append(processes[-1].communicate(timeout=PATIENCE)[0])
    assert crowd.failures == []
    assert [process.returncode for process in processes] == [0] * GENERATIONS
    assert list(map(int, counts)) == [crowd.answers.count(process.pid) for process in processes]
    assert sum(map(int, counts)) == len(crowd.answers)
    assert not os.path.exists(path)


def test_a_successor_that_dies_before_it_serves_changes_nothing(tmp_path: Path) -> None:
    """It took the sockets, and was killed: the old server never noticed more than a line in its log."""
    path = str(tmp_path / "handover")
    with start("handover", path) as process:
        address, pid = told_by(process)
        crowd = Crowd(address)
        try:
            crowd.wait_for(pid)
            dying = "import os, sys, reactor.service as s; s.take_over(sys.argv[1]); os.kill(os.getpid(), 9)"
            done = subprocess.run([sys.executable, "-c", dying, path], env=environment(), timeout=PATIENCE)
            assert done.returncode == -signal.SIGKILL
            crowd.wait_for(pid)
        finally:
            crowd.end()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
    assert crowd.failures == []
    assert set(crowd.answers) == {pid}


def test_nobody_is_refused_when_a_server_starts_itself_anew(tmp_path: Path) -> None:
    """At SIGHUP: fork, exec, the listening socket in systemd's way, and a signal when the new one serves."""
    process = start("exec", str(tmp_path))
    address, pid = told_by(process)
    crowd = Crowd(address)
    pids = [pid]
    try:
        crowd.wait_for(pid)
        for _ in range(GENERATIONS - 1):
            os.kill(pids[-1], signal.SIGHUP)
            # The new one inherits stdout, and says its line between those of the others.
            assert process.stdout is not None
            line = process.stdout.readline()
            while line.strip().isdigit():
                line = process.stdout.readline()
            assert line.startswith("listening on ")
            pids.append(int(line.rpartition(": ")[2]))
            crowd.wait_for(pids[-1])
    finally:
        crowd.end()
        os.kill(pids[-1], signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert crowd.failures == []
    assert set(crowd.answers) == set(pids)
    assert process.returncode == 0
