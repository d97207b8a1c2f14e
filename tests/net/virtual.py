"""A reactor in virtual time with streams on scripted sockets: every system call is counted, and nothing waits.

``virtual.readable(sock)`` is one turn in which *sock* can be read.  What the socket then gives, and how much it
takes of what it is sent, is its own script; see ``reactor.testing``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from reactor.net.stream.stream import Stream
from reactor.testing import ScriptedOps, ScriptedPoller, ScriptedSocket, VirtualClock
from tests.net.stage import Stage


class Virtual:
    """The reactor is ``stage``; ``clock``, ``poller`` and ``ops`` are its world."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.poller = ScriptedPoller(self.clock)
        self.ops = ScriptedOps(self.poller)
        self.stage = Stage(self.poller, clock=self.clock, ops=self.ops)

    def open(self, protocol: Any, *received: Any) -> tuple[Stream, ScriptedSocket]:
        """Return a stream for *protocol* and its socket, which will receive *received*."""
        sock = scripted().script("recv", *received)
        return self.stage.adopt_stream(lambda: protocol, sock), sock

    def readable(self, *socks: ScriptedSocket) -> None:
        """Do a turn in which *socks* can be read."""
        self.turn(*((sock, EVENT_READ) for sock in socks))

    def writable(self, *socks: ScriptedSocket) -> None:
        """Do a turn in which *socks* can be written."""
        self.turn(*((sock, EVENT_WRITE) for sock in socks))

    def turn(self, *ready: tuple[ScriptedSocket, int]) -> None:
        """Do a turn in which *ready* is what the poller finds; a socket that is closed by then is never ready."""
        self.poller.script([(sock, events) for sock, events in ready if sock.fileno() >= 0])
        self.stage.run_once(0)

    def wait(self, seconds: float) -> None:
        """Let time pass, with every timer on its way."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.stage.run_once(end - self.clock.now)
        self.stage.settle(2)


@contextmanager
def virtually() -> Iterator[Virtual]:
    """Make a virtual reactor, close it at the end, and see that nothing escaped."""
    virtual = Virtual()
    try:
        yield virtual
    finally:
        virtual.stage.close()
    assert virtual.stage.failures == []


def scripted() -> Any:
    """Return a scripted socket, of a type that passes for a socket's."""
    return ScriptedSocket()


def sends(sock: ScriptedSocket) -> list[bytes]:
    """Return what each call of send or sendmsg was given."""
    return [args[0] for name, *args in sock.calls if name in ("send", "sendmsg")]


def names(sock: ScriptedSocket, *wanted: str) -> list[str]:
    """Return the names of the calls made of *sock*, of *wanted* only."""
    return [name for name, *_ in sock.calls if name in wanted]
