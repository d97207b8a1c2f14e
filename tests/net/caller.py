"""Who connects: a protocol that notes the one word it is told, and a reactor in virtual time to connect on.

Read next: ``test_connector``.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reactor.net.connections.connector import Connector
from reactor.testing import ScriptedOps, ScriptedPoller, ScriptedSocket, VirtualClock
from tests.net.stage import Stage


class Caller:
    """A protocol that notes the one word that it is told; *on_made* is the reaction to success."""

    def __init__(self, on_made: Callable[[Any], object] | None = None) -> None:
        self.words: list[Any] = []
        self.on_made = on_made

    def connection_made(self, transport: Any) -> None:
        self.words.append(transport)
        if self.on_made is not None:
            self.on_made(transport)

    def connection_failed(self, exc: Exception) -> None:
        self.words.append(exc)

    def data_received(self, data: bytes) -> None:
        """Nobody sends anything here."""

    def eof_received(self) -> None:
        """Some peers are gone at once."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """How it ends is the stream's matter."""


class Virtual:
    """A reactor without a kernel, on which addresses are connected to through scripted sockets."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.poller = ScriptedPoller(self.clock)
        self.ops = ScriptedOps(self.poller)
        self.stage = Stage(self.poller, clock=self.clock, ops=self.ops)
        self.caller = Caller()
        self.made: list[tuple[Any, Any]] = []

    def connect(self, *sockets: ScriptedSocket, family: int = socket.AF_INET, **keywords: Any) -> Connector:
        """Connect to one address for each of *sockets*: 192.0.2.0, 192.0.2.1 and so on."""
        self.ops.script("socket", *sockets)
        targets = [(family, socket.SOCK_STREAM, 6, (f"192.0.2.{last}", 80)) for last in range(len(sockets))]
        return self.connect_to(targets, **keywords)

    def connect_to(self, destination: Any, **keywords: Any) -> Connector:
        """Connect to *destination*."""
        stage = self.stage
        return Connector(
            stage._shared,
            stage.resolver,
            lambda: self.caller,
            destination,
            make_stream=self._make_stream,
            **keywords,
        )

    def _make_stream(self, sock: Any, protocol: Any, peer: Any) -> Any:
        self.made.append((sock, peer))
        protocol.connection_made(sock)
        return sock

    def pass_time(self, seconds: float) -> None:
        """Turn until *seconds* have passed."""
        deadline = self.clock.now + seconds
        self.stage.call_at(deadline, lambda: None)
        while self.clock.now < deadline:
            self.stage.run_once()
        self.stage.settle()


@contextmanager
def virtual() -> Iterator[Virtual]:
    """A reactor in virtual time; nothing may escape on it, and nothing be registered at the end but its bell."""
    world = Virtual()
    before = len(world.poller.get_map())
    with world.stage:
        yield world
        assert world.stage.failures == []
        assert len(world.poller.get_map()) == before
        assert not [item for item in world.stage._shared.transports if isinstance(item, Connector)]


def pending(**keywords: Any) -> ScriptedSocket:
    """A socket whose connection is in progress."""
    return ScriptedSocket(**keywords).script("connect", errno.EINPROGRESS)


def refused() -> ScriptedSocket:
    """A socket that is refused at once."""
    return ScriptedSocket().script("connect", errno.ECONNREFUSED)


def is_closed(sock: ScriptedSocket) -> bool:
    """Return True if *sock* was closed."""
    return sock.fileno() == -1
