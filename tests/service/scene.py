"""A gate on a real address, with a clock that stands still unless it is told to move, and plain sockets before it.

A ``Caller`` is a plain socket with the client's half of a handshake at hand: it can be honest, or say anything
else. Read next: ``test_gate``, ``test_gate_refusals`` and ``hostile_peers``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reactor.auth import AUTHENTICATED, Handshake, Key, KeyRing
from reactor.service.gate import ServerGate
from reactor.testing import VirtualClock
from tests.auth.sides import ANOTHER_SECRET, RING
from tests.net.recorder import Recorder
from tests.net.stage import Stage
from tests.service.peer import Peer, turn_until

#: A ring that does not open the gate.
WRONG = KeyRing([Key("app-1", ANOTHER_SECRET)])


class Scene:
    """``gate`` listens at ``address``; ``made`` holds the protocols that it has let through, in order."""

    def __init__(self, stage: Stage, clock: VirtualClock, unix_path: str | None, **options: Any) -> None:
        self.stage = stage
        self.clock = clock
        self.made: list[Recorder] = []
        #: What the protocols behind the gate do on which occasion.
        self.reactions: dict[str, Callable[..., Any]] = {}
        self.gate = ServerGate(stage, self._make, options.pop("keys", RING), **options)
        if unix_path is not None:
            self.listener = stage.listen_unix(self.gate, unix_path)
        else:
            self.listener = stage.listen_tcp(self.gate, "127.0.0.1")
        self.address = self.listener.address

    def _make(self) -> Recorder:
        self.made.append(Recorder(**self.reactions))
        return self.made[-1]

    def until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until *condition* holds; the clock stands still."""
        turn_until(self.stage, condition)

    def settle(self) -> None:
        """Do a few turns that do not wait: what is due has happened afterwards."""
        self.stage.settle(5)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is due by then happen."""
        self.clock.advance(seconds)
        self.settle()

    @contextmanager
    def caller(self, **options: Any) -> Iterator[Caller]:
        """Connect a caller, and wait until the gate knows of it, if it lets it wait at all."""
        before = self.stage.counters.accepted
        with Caller(self.stage, self.address, **options) as caller:
            self.until(lambda: self.stage.counters.accepted > before)
            yield caller


class Caller(Peer):
    """A plain socket that may become a client."""

    def __init__(self, stage: Stage, address: Any, keys: KeyRing = RING, **options: Any) -> None:
        super().__init__(stage, address)
        self.side = Handshake("client", keys, deadline=float("inf"), **options)

    def frame(self) -> bytes:
        """Receive the next frame, with its length; what there is if the server has ended."""
        head = self.receive(4)
        return head + (self.receive(struct.unpack(">I", head)[0]) if len(head) == 4 else b"")

    def response(self) -> bytes:
        """Return the honest answer to the server's challenge; it is not sent."""
        return self.side.receive(self.frame(), 0.0)

    def authenticate(self, more: bytes = b"") -> None:
        """Do what an honest client does, and send *more* in the same piece as the response."""
        self.send(self.response() + more)
        self.side.receive(self.frame(), 0.0)
        assert self.side.state is AUTHENTICATED

    def reset(self) -> None:
        """Be gone with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@contextmanager
def scene_on(poller_name: Any, *, unix_path: str | None = None, **options: Any) -> Iterator[Scene]:
    """Set a scene on a poller; *options* are the gate's.  At the end nothing may have escaped from a callback."""
    clock = VirtualClock()
    stage = Stage(poller_name, clock=clock)
    try:
        yield Scene(stage, clock, unix_path, **options)
    finally:
        stage.close()
    assert stage.failures == []
