"""Where a stream is put to be looked at: a reactor, one stream on it, and a peer that does as it is told.

The peer's socket is watched by the very reactor that is under test, so a test waits for events and for nothing
else: no sleeping, no second thread, no guess how long the kernel takes.  A ``Wire`` is one connection, of one of
four kinds, each come by in the way in which a program comes by it: three through a listener, one adopted.

Read next: ``recorder``, the protocol that notes what it is told.
"""

from __future__ import annotations

import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reactor.net.connections.listener import Listener
from reactor.net.reactor import Reactor
from reactor.net.stream.stream import Stream

#: How a stream is come by.
KINDS = ("tcp4", "tcp6", "unix", "pair")

#: Seconds after which a test that waits for an event has failed; nothing that works comes near it.
PATIENCE = 10.0


class Stage(Reactor):
    """A reactor that keeps what escaped from callbacks: ``failures`` must be empty at the end, or be taken."""

    __slots__ = ("failures",)

    def __init__(self, selector: Any = None, **keywords: Any) -> None:
        super().__init__(selector, **keywords)
        self.failures: list[BaseException] = []
        self.set_exception_handler(lambda exc, source: self.failures.append(exc))

    def until(self, condition: Callable[[], object]) -> Any:
        """Turn until *condition* holds."""
        return self.run_until(condition, PATIENCE)

    def settle(self, turns: int = 3) -> None:
        """Do a few turns that do not wait: whatever is due by now has happened afterwards, also if a slow machine
        has broken one off."""
        for _ in range(turns):
            self.run_once(0)
            while self.engine.unserved or self.registry.poller.has_backlog:
                self.run_once(0)

    def take_failures(self) -> list[BaseException]:
        """Return what escaped, and forget it."""
        taken, self.failures = self.failures, []
        return taken


@contextmanager
def stage_on(selector: Any = None, **keywords: Any) -> Iterator[Stage]:
    """Make a stage, close it at the end, and see that nothing escaped that the test did not take."""
    stage = Stage(selector, **keywords)
    try:
        yield stage
    finally:
        stage.close()
    assert stage.failures == []


class Peer:
    """The other end: a bare socket, read only when told to.  ``received`` is what came, ``end`` how it ended."""

    def __init__(self, stage: Stage, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.stage = stage
        self.sock = sock
        self.received = bytearray()
        #: None while it is open, b"" after an end, else the error.
        self.end: object = None
        self.unsent = b""

    def read(self, stop_after: int | None = None) -> None:
        """Read whatever comes from now on, or about *stop_after* bytes of it."""
        self.stage.add_reader(self.sock, self._on_readable, stop_after)

    def _on_readable(self, stop_after: int | None) -> None:
        try:
            data = self.sock.recv(65536 if stop_after is None else min(65536, stop_after - len(self.received)))
        except OSError as exc:
            data, self.end = b"", exc
        else:
            self.received += data
            if not data:
                self.end = b""
        if not data or len(self.received) == stop_after:
            self.stage.remove_reader(self.sock)

    def send(self, data: bytes) -> None:
        """Send *data*; what does not fit goes as soon as it does."""
        self.unsent += data
        self._push()

    def _push(self) -> None:
        try:
            self.unsent = self.unsent[self.sock.send(self.unsent) :] if self.unsent else b""
        except BlockingIOError:
            pass
        except OSError:
            self.unsent = b""
        if self.unsent:
            self.stage.add_writer(self.sock, self._push)
        else:
            self.stage.remove_writer(self.sock)

    def shutdown(self) -> None:
        """Send no more."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Be gone."""
        if not self.stage.is_closed():
            self.stage.remove_reader(self.sock)
            self.stage.remove_writer(self.sock)
        self.sock.close()

    def reset(self) -> None:
        """Be gone with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Wire:
    """One connection: ``stream`` with ``protocol`` on this side, ``peer`` on the other, ``listener`` or None."""

    def __init__(self, stage: Stage, protocol: Any, stream: Stream, peer: Peer, listener: Listener | None) -> None:
        self.stage = stage
        self.protocol = protocol
        self.stream = stream
        self.peer = peer
        self.listener = listener


@contextmanager
def wire_on(stage: Stage, protocol: Any, kind: str = "tcp4", **settings: Any) -> Iterator[Wire]:
    """Connect *protocol* to a peer; *settings* are the listener's (or ``adopt_stream``'s) keywords."""
    with tempfile.TemporaryDirectory() as folder:
        listener = listen(stage, lambda: protocol, kind, folder, **settings) if kind != "pair" else None
        if listener is None:
            near, far = socket.socketpair()
            stage.adopt_stream(lambda: protocol, near, **settings)
        else:
            far = connect(listener)
            stage.until(lambda: protocol.transport is not None)
        peer = Peer(stage, far)
        try:
            yield Wire(stage, protocol, protocol.transport, peer, listener)
        finally:
            peer.close()
            if listener is not None:
                listener.close()


def listen(stage: Stage, factory: Callable[[], Any], kind: str, folder: str, **settings: Any) -> Listener:
    """Listen in the manner of *kind*; a path lies in *folder*."""
    if kind == "unix":
        return stage.listen_unix(factory, str(Path(folder, "socket")), **settings)
    return stage.listen_tcp(factory, "::1" if kind == "tcp6" else "127.0.0.1", 0, **settings)


def connect(listener: Listener) -> socket.socket:
    """Return a blocking socket that is connected to *listener*."""
    sock = socket.socket(listener.sockets[0].family, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(listener.address)
    return sock
