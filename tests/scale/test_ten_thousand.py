"""Ten thousand connections at once on one reactor, all of them talking, and what an idle one costs.

The server has a process of its own, the clients two others: one process could not hold both ends of so many.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

CONNECTIONS = 10_000

#: Bytes of memory that an idle connection may cost; the aim is half of it.
COST_BYTES = 2048
AIM_BYTES = 1024

#: Descriptors that a process needs beside its connections.
OTHERS = 100

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident memory in /proc"),
    pytest.mark.skipif(
        resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CONNECTIONS + OTHERS,
        reason=f"needs a hard limit of {CONNECTIONS + OTHERS} descriptors (ulimit -Hn)",
    ),
]


class Child:
    """A process that answers each line on its input with a line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hear(self) -> str:
        """Return the next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{self.process.args!r} has ended"
        return line.strip()

    def say(self, line: str) -> None:
        """Send *line*; the answer is fetched with ``hear``."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line: str) -> Any:
        """Send *line* and return the answer, which is JSON."""
        self.say(line)
        return json.loads(self.hear())


@contextmanager
def children(*commands: tuple[str, ...]) -> Iterator[list[Child]]:
    """Run processes; each is told to end by the end of its input, and waited for."""
    started: list[Child] = []
    try:
        started += [Child(*command) for command in commands]
        yield started
    finally:
        for child in started:
            child.process.communicate(timeout=60)


def all_do(crowds: list[Child], what: str) -> None:
    """Have the crowds do *what*, all at the same time."""
    for crowd in crowds:
        crowd.say(what)
    assert [crowd.hear() for crowd in crowds] == [what] * len(crowds)


@pytest.mark.parametrize("manner", ["raw", "framed"])
@pytest.mark.parametrize("poller", ["epoll", "poll"])
def test_ten_thousand_are_served_at_once(poller: str, manner: str) -> None:
    """All are open together, everybody gets his own bytes back, three times, and nothing stays behind."""
    with children(("tests.scale.server", poller, manner)) as (server,):
        port = server.hear()
        before = server.ask("report")
        crowd = ("tests.scale.crowd", port, str(CONNECTIONS // 2))
        with children(crowd, crowd) as crowds:
            all_do(crowds, "open")
            while (idle := server.ask("report"))["connections"] < CONNECTIONS:
                pass
            for _ in range(3):
                all_do(crowds, "talk")
            talked = server.ask("report")
            all_do(crowds, "close")
        while (after := server.ask("report"))["connections"]:
            pass
    assert talked["connections"] == CONNECTIONS
    assert (after["accepted"], after["closed_streams"]) == (CONNECTIONS, CONNECTIONS)
    assert [after[name] for name in ("shed", "accept_errors", "callback_errors", "peer_errors")] == [0, 0, 0, 0]
    costs = [(state["resident"] - before["resident"]) / CONNECTIONS for state in (idle, talked)]
    print(f"{poller}, {manner}: {costs[0]:.0f} bytes for a new connection, {costs[1]:.0f} for one that has talked")
    print(f"aim: {AIM_BYTES}, reached: {max(costs) <= AIM_BYTES}")
    assert max(costs) <= COST_BYTES
