"""A loop as it is shipped, in each of the four ways in which a stream can be received for.

``way`` and ``loop`` run a test on the pump, on epoll without it, on poll and on select, and change nothing else: a
test that fixes an internal threshold tests a program that nobody has.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reactor
from tests.conftest import native_problem

#: The ways: a poller, and what the environment says of the pump.
WAYS = {"pump": ("epoll", "on"), "epoll": ("epoll", "off"), "poll": ("poll", "off"), "select": ("select", "off")}


class Shipped(reactor.Reactor):
    """A reactor that keeps what escaped from callbacks."""

    __slots__ = ("failures",)

    def __init__(self, selector: str | None = None, **keywords: Any) -> None:
        super().__init__(selector, **keywords)
        self.failures: list[BaseException] = []
        self.set_exception_handler(lambda exc, source: self.failures.append(exc))

    def until(self, condition: Callable[[], object]) -> Any:
        """Turn until *condition* holds."""
        return self.run_until(condition, 10)

    def turns(self, count: int) -> None:
        """Do so many turns that do not wait."""
        for _ in range(count):
            self.run_once(0)

    def pair(self, protocol: Any, **keywords: Any) -> socket.socket:
        """Put *protocol* on a stream; return the peer's socket, which does not block."""
        ours, theirs = socket.socketpair()
        self.adopt_stream(lambda: protocol, ours, **keywords)
        theirs.setblocking(False)
        return theirs


def heard(peer: socket.socket) -> bytes:
    """Return all that has come for *peer*, up to an end or an error."""
    data = bytearray()
    try:
        while more := peer.recv(1 << 20):
            data += more
    except OSError:
        pass
    return bytes(data)


@pytest.fixture(params=[way for way, (name, _) in WAYS.items() if hasattr(select, name)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a way; the environment is set for it."""
    name: str = request.param
    problem = native_problem() if name == "pump" else None
    if problem:
        pytest.skip(f"no pump: {problem}")
    monkeypatch.delenv("REACTOR_SELECTOR", raising=False)
    monkeypatch.setenv("REACTOR_PUMP", WAYS[name][1])
    return name


@pytest.fixture
def loop(way: str) -> Iterator[Shipped]:
    """A loop of that way, closed at the end; whatever is reported must be taken."""
    made = Shipped(WAYS[way][0])
    try:
        yield made
    finally:
        made.close()
    assert made.failures == []
